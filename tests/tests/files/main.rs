//! Files of slicers, and files made up, as the reader and the check of the agent see them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod preflight;
mod reader_agrees;

//! Conversations with a firmware, word for word: what the streamer writes, and when.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod brake;
mod cut;
mod doubt;
mod flow;
mod heat;
mod people;
mod repetier;
mod talk;
mod windows;

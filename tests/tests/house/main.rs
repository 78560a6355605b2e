//! The house is as its documents say: walls, rooms, words and units are read and held against one another.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its house has failed")]

mod bounds;
mod examples;
mod explain;
mod kinds;
mod packages;
mod pages;
mod prose;
mod refusals;
mod rooms;
mod sources;
mod tables;
mod threats;
mod tree;
mod units;
mod walls;

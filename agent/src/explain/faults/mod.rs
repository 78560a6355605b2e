//! The faults: what the agent does about each, and what to try. Their own sentences stand in `protocol/src/fault.rs`.

mod bed;
mod command;
mod identity;
mod job;
mod network;
mod permit;
mod port;
mod update;

use spoolway_protocol::Fault;

use super::words::Words;

gathered!(
    WORDS,
    Fault,
    code,
    &[
        port::ROWS,
        bed::ROWS,
        job::ROWS,
        network::ROWS,
        identity::ROWS,
        command::ROWS,
        permit::ROWS,
        update::ROWS
    ]
);

/// Every fault with its words.
pub(super) fn all() -> impl Iterator<Item = (Fault, Words)> {
    Fault::ALL.iter().map(|fault| (*fault, WORDS[*fault as usize]))
}

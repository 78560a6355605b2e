//! Commands for the tests of this room.

use spoolway_protocol::command::{Actor, Command};
use spoolway_protocol::ids::{CmdId, Seq};
use spoolway_protocol::raw::{Extra, Raw};

/// The id of the command with this number.
pub(super) fn id(seq: u64) -> CmdId {
    CmdId::from_parts(seq, &[0; 10])
}

/// A command without a condition, from somebody.
pub(super) fn command(seq: u64, kind: &str, args: &str) -> Command {
    Command {
        cmd_id: id(seq),
        seq: Seq(seq),
        printer_id: None,
        kind: kind.to_owned(),
        args: Raw::parse(args.to_owned()).unwrap(),
        actor: Actor { id: "u".to_owned(), role: "r".to_owned(), decision: None, extra: Extra::default() },
        must: Vec::new(),
        precondition: None,
        extra: Extra::default(),
        sig: None,
    }
}

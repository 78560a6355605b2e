//! What this backend says: the offer of a file that is to be printed at once, and the command that carries it.

use sha2::{Digest, Sha256};
use spoolway_protocol::command::{Actor, Command, CommandArgs};
use spoolway_protocol::job::{FileSpec, OfferArgs, Retain, Source, StartRule};
use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::session::Presence;
use spoolway_protocol::{CmdId, FileId, JobId, Sha256Hex};

use super::Print;

/// A job that is to be printed as soon as the printer is free.
pub(super) fn offer_of(print: &Print) -> OfferArgs {
    let name = uuid::Uuid::now_v7();
    let file = FileSpec {
        file_id: FileId::new(format!("file-{name}")).expect("letters, digits and hyphens are a name"),
        size: print.bytes.len() as u64,
        sha256: Sha256Hex(Sha256::digest(&print.bytes).into()),
        chunk: CHUNK_PAYLOAD_BYTES as u32,
        chunks_sha256: None,
        name: print.name.clone(),
        ptype: None,
        gtype: None,
        extra: Extra::default(),
    };
    OfferArgs {
        job_id: JobId::new(format!("job-{name}")).expect("letters, digits and hyphens are a name"),
        rev: 1,
        owner: "demo".to_owned(),
        file,
        sources: vec![Source::Relay { extra: Extra::default() }],
        start: StartRule::WhenReady,
        not_before: None,
        not_after: None,
        copies: 1,
        priority: 0,
        requires: None,
        estimate: None,
        retain: Retain::Delete,
        extra: Extra::default(),
    }
}

/// The command behind all that the agent has stored so far.
pub(super) fn command_of(offer: &OfferArgs, presence: &Presence) -> Command {
    let args = CommandArgs::JobOffer(Box::new(offer.clone()));
    Command {
        cmd_id: uuid::Uuid::now_v7().to_string().parse::<CmdId>().expect("a new id is of version 7"),
        seq: presence.cmd_seq.unwrap_or_default().next(),
        printer_id: presence.printers.first().map(|printer| printer.printer_id.clone()),
        kind: args.kind().to_owned(),
        args: args.encode(),
        actor: Actor {
            id: "demo".to_owned(),
            role: "operator".to_owned(),
            decision: None,
            extra: Extra::default(),
        },
        must: Vec::new(),
        precondition: None,
        extra: Extra::default(),
        sig: None,
    }
}

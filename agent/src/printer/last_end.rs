//! How the last run has ended, as one process leaves it to the next. It outlives the conversation in which it was seen, until
//! another run begins: whoever is killed before the store has it has lost nothing.

use spoolway_agent_core::pack::{Pack, Unpack};
use spoolway_agent_core::stream::{Progress, Stats};
use spoolway_protocol::BootId;

use super::Run;
use super::beside::{pack_run, unpack_run};
use super::handover::Ticket;

/// Most bytes that one takes.
const BYTES_MAX: usize = 8 * 1024;

/// Writes down how this run has ended; `None` when it takes more room than there is.
pub(super) fn pack(boot: &BootId, ticket: &Ticket, run: &Run) -> Option<Vec<u8>> {
    let mut room = vec![0; BYTES_MAX];
    let mut to = Pack::new(&mut room);
    to.bytes(boot.to_string().as_bytes());
    to.bytes(&serde_json::to_vec(ticket).expect("plain data has a text form"));
    run.progress.pack(&mut to);
    run.stats.pack(&mut to);
    pack_run(run, &mut to);
    let length = to.len()?;
    room.truncate(length);
    Some(room)
}

/// Reads what [`pack`] wrote in the same boot.
pub(super) fn unpack(bytes: &[u8], boot: &BootId) -> Option<(Ticket, Run)> {
    let mut from = Unpack::new(bytes);
    if from.bytes()? != boot.to_string().as_bytes() {
        return None;
    }
    let ticket = serde_json::from_slice(from.bytes()?).ok()?;
    let (progress, stats) = (Progress::unpack(&mut from)?, Stats::unpack(&mut from)?);
    let run = unpack_run(&mut from)?;
    Some((ticket, Run { progress, stats, ..run }))
}

#[cfg(test)]
mod tests {
    use spoolway_agent_core::Moment;
    use spoolway_agent_core::gcode::Position;

    use super::super::RunEnd;
    use super::super::conversation::tests::ticket;
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn an_end_is_known_again_in_the_same_boot_and_only_whole() {
        let boot = Clock::start().unwrap().boot_id().clone();
        let mut run = Run::new(7);
        run.progress = Progress { commands: 9, position: Position { line: 12, byte: 300, layer: 2 } };
        run.stats.job_refusals = 3;
        run.end(Moment::from_millis(5), RunEnd::Completed);
        let ticket = ticket();
        let bytes = pack(&boot, &ticket, &run).unwrap();
        assert_eq!(unpack(&bytes, &boot), Some((ticket, run)));
        assert!((0..bytes.len()).all(|cut| unpack(&bytes[..cut], &boot).is_none()));
        let later = BootId::new("another-boot").unwrap();
        assert_eq!(unpack(&bytes, &later), None);
    }
}

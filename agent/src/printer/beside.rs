//! What the shell has to know again beside the conversation itself: the run, and what people and the printer wanted of it.

use std::time::Duration;

use spoolway_agent_core::Moment;
use spoolway_agent_core::pack::{Pack, Unpack};
use spoolway_protocol::Fault;

use super::{Cause, Run, RunEnd, RunPhase};

/// Longest text that is kept.
const TEXT_BYTES_MAX: usize = 1024;

/// The shell's side of a conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Beside {
    pub(super) run: Option<Run>,
    pub(super) paused_since: Option<Moment>,
    pub(super) person_holds: bool,
    pub(super) set_up: bool,
    pub(super) make_safe: bool,
    /// Why the run is being given up, when nobody wants it so.
    pub(super) broken: Option<(Fault, String)>,
}

/// The same where it lies, to be written down.
#[derive(Debug, Clone, Copy)]
pub(super) struct BesideNow<'a> {
    pub(super) run: Option<&'a Run>,
    pub(super) paused_since: Option<Moment>,
    pub(super) person_holds: bool,
    pub(super) set_up: bool,
    pub(super) make_safe: bool,
    pub(super) broken: Option<(Fault, &'a str)>,
}

impl BesideNow<'_> {
    pub(super) fn pack(&self, to: &mut Pack<'_>) {
        to.maybe_moment(self.paused_since);
        to.bool(self.person_holds);
        to.bool(self.set_up);
        to.bool(self.make_safe);
        let (fault, why) = self.broken.map_or(("", ""), |(fault, why)| (fault.code(), why));
        to.bytes(fault.as_bytes());
        to.bytes(clip(why));
        to.bool(self.run.is_some());
        if let Some(run) = self.run {
            pack_run(run, to);
        }
    }
}

impl Beside {
    pub(super) fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut from = Unpack::new(bytes);
        let paused_since = from.maybe_moment()?;
        let (person_holds, set_up, make_safe) = (from.bool()?, from.bool()?, from.bool()?);
        let (fault, why) = (text(&mut from)?, text(&mut from)?);
        let broken = Fault::from_code(&fault).map(|fault| (fault, why));
        let run = if from.bool()? { Some(unpack_run(&mut from)?) } else { None };
        Some(Self { run, paused_since, person_holds, set_up, make_safe, broken })
    }
}

pub(super) fn pack_run(run: &Run, to: &mut Pack<'_>) {
    to.u64(run.id);
    to.duration(run.paused);
    to.maybe_moment(run.ended);
    let (tag, fault, why) = match &run.phase {
        RunPhase::Starting => (0, "", ""),
        RunPhase::Printing => (1, "", ""),
        RunPhase::Paused => (2, "", ""),
        RunPhase::Ended(RunEnd::Completed) => (3, "", ""),
        RunPhase::Ended(RunEnd::Cancelled) => (4, "", ""),
        RunPhase::Ended(RunEnd::Interrupted(fault, why)) => (5, fault.code(), why.as_str()),
    };
    to.u8(tag);
    to.bytes(fault.as_bytes());
    to.bytes(clip(why));
    match &run.cause {
        None => to.u8(0),
        Some(Cause::Printer(why)) => {
            to.u8(1);
            to.bytes(clip(why));
        }
        Some(Cause::Doubt { first, last }) => {
            to.u8(2);
            to.u64(*first);
            to.u64(*last);
        }
        Some(Cause::Guard(fault, why)) => {
            to.u8(3);
            to.bytes(fault.code().as_bytes());
            to.bytes(clip(why));
        }
    }
}

/// Progress and counters are the conversation's own.
pub(super) fn unpack_run(from: &mut Unpack<'_>) -> Option<Run> {
    let mut run = Run::new(from.u64()?);
    run.paused = from.duration().filter(|paused| *paused < Duration::MAX)?;
    run.ended = from.maybe_moment()?;
    let tag = from.u8()?;
    let (fault, why) = (text(from)?, text(from)?);
    run.phase = match tag {
        0 => RunPhase::Starting,
        1 => RunPhase::Printing,
        2 => RunPhase::Paused,
        3 => RunPhase::Ended(RunEnd::Completed),
        4 => RunPhase::Ended(RunEnd::Cancelled),
        5 => RunPhase::Ended(RunEnd::Interrupted(Fault::from_code(&fault)?, why)),
        _ => return None,
    };
    run.cause = match from.u8()? {
        0 => None,
        1 => Some(Cause::Printer(text(from)?)),
        2 => Some(Cause::Doubt { first: from.u64()?, last: from.u64()? }),
        3 => Some(Cause::Guard(Fault::from_code(&text(from)?)?, text(from)?)),
        _ => return None,
    };
    Some(run)
}

fn text(from: &mut Unpack<'_>) -> Option<String> {
    from.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn clip(text: &str) -> &[u8] {
    &text.as_bytes()[..text.len().min(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_known_again() {
        let ends = [
            RunPhase::Starting,
            RunPhase::Printing,
            RunPhase::Paused,
            RunPhase::Ended(RunEnd::Completed),
            RunPhase::Ended(RunEnd::Cancelled),
            RunPhase::Ended(RunEnd::Interrupted(Fault::PortLost, "gone".to_owned())),
        ];
        let causes = [
            None,
            Some(Cause::Printer("filament".to_owned())),
            Some(Cause::Doubt { first: 3, last: 9 }),
            Some(Cause::Guard(Fault::HeatNoReports, "30 s".to_owned())),
        ];
        for (phase, cause) in
            ends.into_iter().flat_map(|end| causes.clone().map(|cause| (end.clone(), cause)))
        {
            let ended = matches!(phase, RunPhase::Ended(_)).then(|| Moment::from_millis(9));
            let run = Run { phase, cause, ended, paused: Duration::from_secs(7), ..Run::new(42) };
            let beside = Beside {
                run: Some(run),
                paused_since: Some(Moment::from_millis(5)),
                person_holds: true,
                set_up: true,
                make_safe: false,
                broken: Some((Fault::StoreCorrupt, "frame 3".to_owned())),
            };
            let mut room = [0; 4096];
            let mut pack = Pack::new(&mut room);
            let now = BesideNow {
                run: beside.run.as_ref(),
                paused_since: beside.paused_since,
                person_holds: true,
                set_up: true,
                make_safe: false,
                broken: beside.broken.as_ref().map(|(fault, why)| (*fault, why.as_str())),
            };
            now.pack(&mut pack);
            let length = pack.len().unwrap();
            assert_eq!(Beside::unpack(&room[..length]), Some(beside));
            assert!((0..length).all(|cut| Beside::unpack(&room[..cut]).is_none()));
        }
    }
}

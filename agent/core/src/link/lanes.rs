//! Commands that wait for their turn: one ordinary and one urgent lane per printer, and the stops that take commands back.

use std::collections::{BTreeMap, VecDeque};

use spoolway_protocol::command::{Command, CommandArgs};
use spoolway_protocol::ids::{CmdId, JobId, PrinterId, Seq};

use super::judge::is_expired;
use crate::moment::Moment;

/// Stops that are remembered for commands that arrive late: the last one of each job and each machine.
const STOPS: usize = 256;

/// A stored command that waits for its turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The command.
    pub command: Command,
    /// Its arguments.
    pub args: CommandArgs,
    /// The printer in whose lanes it waits.
    pub printer: Option<PrinterId>,
    /// How long it is worth anything, in ms.
    pub ttl_ms: Option<u64>,
    /// How old it was at `since`, in ms.
    pub age_ms: u64,
    /// When this process first had it.
    pub since: Moment,
}

impl Waiting {
    /// How old it is, in ms.
    #[must_use]
    pub fn age_ms(&self, now: Moment) -> u64 {
        let here = u64::try_from(now.since(self.since).as_millis()).unwrap_or(u64::MAX);
        self.age_ms.saturating_add(here)
    }

    fn is_expired(&self, now: Moment) -> bool {
        is_expired(self.ttl_ms, self.age_ms(now))
    }

    /// The first moment at which it is expired.
    fn deadline(&self) -> Option<Moment> {
        let left_ms = self.ttl_ms?.saturating_sub(self.age_ms).saturating_add(1);
        Some(self.since + std::time::Duration::from_millis(left_ms))
    }
}

/// What a command does to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    None,
    Moves,
    /// It may heat, and nothing else; a job that is started heats too, and is cancelled by other words.
    Heats,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Cancelled(JobId),
    Paused(JobId),
    Stopped(Option<PrinterId>),
    Cooled(Option<PrinterId>),
}

impl Target {
    const fn is_job(&self) -> bool {
        matches!(self, Self::Cancelled(_) | Self::Paused(_))
    }
}

/// A cancel, pause or emergency stop: earlier commands that would make the machine move or heat after it are taken back, also when
/// they arrive after it because it overtook them. Switching the heaters off takes back what would heat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The command that stops.
    pub cmd_id: CmdId,
    seq: Seq,
    target: Target,
}

impl Stop {
    /// The stop that a command is, if it is one.
    #[must_use]
    pub fn of(command: &Command, args: &CommandArgs, printer: Option<&PrinterId>) -> Option<Self> {
        let target = match args {
            CommandArgs::JobCancel(args) => Target::Cancelled(args.job_id.clone()),
            CommandArgs::JobPause(args) => Target::Paused(args.job_id.clone()),
            CommandArgs::PrinterEstop(_) => Target::Stopped(printer.cloned()),
            CommandArgs::PrinterHeatersOff(_) => Target::Cooled(printer.cloned()),
            _ => return None,
        };
        Some(Self { cmd_id: command.cmd_id, seq: command.seq, target })
    }

    fn covers(&self, waiting: &Waiting) -> bool {
        let (effect, job_id) = match &waiting.args {
            CommandArgs::JobStart(args) => (Effect::Moves, Some(&args.job_id)),
            CommandArgs::JobResume(args) => (Effect::Moves, Some(&args.job_id)),
            CommandArgs::JobOffer(args) => (Effect::None, Some(&args.job_id)),
            CommandArgs::PrinterHome(_) | CommandArgs::PrinterJog(_) => (Effect::Moves, None),
            CommandArgs::PrinterSetTemp(_) | CommandArgs::PrinterGcode(_) => (Effect::Heats, None),
            _ => return false,
        };
        let same = match &self.target {
            Target::Cancelled(job) => Some(job) == job_id,
            Target::Paused(job) => effect != Effect::None && Some(job) == job_id,
            Target::Stopped(printer) => effect != Effect::None && *printer == waiting.printer,
            Target::Cooled(printer) => effect == Effect::Heats && *printer == waiting.printer,
        };
        same && waiting.command.seq < self.seq
    }
}

#[derive(Debug, Default)]
struct Pair {
    urgent: VecDeque<Waiting>,
    ordinary: VecDeque<Waiting>,
    urgent_runs: Option<CmdId>,
    ordinary_runs: Option<CmdId>,
}

impl Pair {
    fn next(&mut self) -> Option<Waiting> {
        if self.urgent_runs.is_some() {
            return None;
        }
        if let Some(waiting) = self.urgent.pop_front() {
            self.urgent_runs = Some(waiting.command.cmd_id);
            return Some(waiting);
        }
        if self.ordinary_runs.is_some() {
            return None;
        }
        let waiting = self.ordinary.pop_front()?;
        self.ordinary_runs = Some(waiting.command.cmd_id);
        Some(waiting)
    }

    fn is_empty(&self) -> bool {
        let waits = !self.urgent.is_empty() || !self.ordinary.is_empty();
        !waits && self.urgent_runs.is_none() && self.ordinary_runs.is_none()
    }
}

/// All commands that wait or run.
#[derive(Debug, Default)]
pub struct Lanes {
    pairs: BTreeMap<Option<PrinterId>, Pair>,
    stops: VecDeque<Stop>,
}

impl Lanes {
    /// Puts a command into its lane: earlier seqs first, urgent ones apart.
    pub fn push(&mut self, waiting: Waiting) {
        let pair = self.pairs.entry(waiting.printer.clone()).or_default();
        let lane = if waiting.args.is_urgent() { &mut pair.urgent } else { &mut pair.ordinary };
        let place = lane.partition_point(|other| other.command.seq <= waiting.command.seq);
        lane.insert(place, waiting);
    }

    /// The next command whose turn it is; it counts as running until [`Lanes::finish`]. An urgent one runs beside an ordinary one, but
    /// no ordinary one begins while an urgent one waits or runs.
    pub fn next_turn(&mut self) -> Option<Waiting> {
        self.pairs.values_mut().find_map(Pair::next)
    }

    /// A running command has ended; false when it did not run.
    pub fn finish(&mut self, cmd_id: CmdId) -> bool {
        let mut ran = false;
        for pair in self.pairs.values_mut() {
            for slot in [&mut pair.urgent_runs, &mut pair.ordinary_runs] {
                ran |= slot.take_if(|running| *running == cmd_id).is_some();
            }
        }
        self.pairs.retain(|_, pair| !pair.is_empty());
        ran
    }

    /// Remembers a stop and takes out the waiting commands that it covers.
    pub fn stop(&mut self, stop: Stop) -> Vec<Waiting> {
        let taken = self.take_out(|waiting| stop.covers(waiting));
        self.remember(stop);
        taken
    }

    /// A later stop covers all that an earlier one of the same job or machine covers. Where there are too many, one of a job goes: what comes
    /// too late for it still meets the state of its job, and for a machine there is nothing else.
    fn remember(&mut self, stop: Stop) {
        if let Some(at) = self.stops.iter().position(|known| known.target == stop.target) {
            if self.stops[at].seq >= stop.seq {
                return;
            }
            self.stops.remove(at);
        }
        self.stops.push_back(stop);
        if self.stops.len() > STOPS {
            let oldest = self.stops.iter().position(|stop| stop.target.is_job()).unwrap_or(0);
            self.stops.remove(oldest);
        }
    }

    /// The stop that covers a command, if there is one.
    #[must_use]
    pub fn stopped_by(&self, waiting: &Waiting) -> Option<CmdId> {
        self.stops.iter().find(|stop| stop.covers(waiting)).map(|stop| stop.cmd_id)
    }

    /// Takes out the waiting commands whose TTL has run out.
    pub fn expire(&mut self, now: Moment) -> Vec<Waiting> {
        self.take_out(|waiting| waiting.is_expired(now))
    }

    /// When the next waiting command expires.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.pairs
            .values()
            .flat_map(|pair| pair.urgent.iter().chain(&pair.ordinary))
            .filter_map(Waiting::deadline)
            .min()
    }

    /// Whether a command waits or runs.
    #[must_use]
    pub fn contains(&self, cmd_id: CmdId) -> bool {
        self.pairs.values().any(|pair| {
            let waits =
                pair.urgent.iter().chain(&pair.ordinary).any(|waiting| waiting.command.cmd_id == cmd_id);
            waits || pair.urgent_runs == Some(cmd_id) || pair.ordinary_runs == Some(cmd_id)
        })
    }

    /// How many commands wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pairs.values().map(|pair| pair.urgent.len() + pair.ordinary.len()).sum()
    }

    fn take_out(&mut self, condition: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let mut taken = Vec::new();
        for pair in self.pairs.values_mut() {
            for lane in [&mut pair.urgent, &mut pair.ordinary] {
                let (out, kept): (VecDeque<_>, _) = lane.drain(..).partition(&condition);
                *lane = kept;
                taken.extend(out);
            }
        }
        self.pairs.retain(|_, pair| !pair.is_empty());
        taken
    }
}

#[cfg(test)]
mod tests;

//! What the outside was told, and when: that must hold after a cut.

use std::collections::{BTreeMap, BTreeSet};

use spoolway_agent::store::Position;

/// Something that somebody outside relies on.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// A receipt for a command.
    Command(String),
    /// A job that was accepted or moved, at this revision.
    Job { job_id: String, rev: u64 },
    /// An attempt whose first byte may go to the printer.
    Start { job_id: String, attempt: u32 },
    /// An event that may be sent; `mark` is what it says.
    Event { at: Position, mark: u64, is_promise: bool },
    /// A file that is complete.
    Body { sha256: String },
    /// The backend has stored everything up to here: it may go.
    Acked(Position),
    /// A file may go.
    Deleted { sha256: String },
}

/// Everything that was told, in order, with the length of the log by then.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    told: Vec<(u64, Told)>,
    /// The next name; none is ever given twice.
    pub(super) next: u64,
}

/// What has to be found after a cut.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) commands: BTreeSet<String>,
    pub(super) jobs: BTreeMap<String, u64>,
    pub(super) starts: BTreeSet<(String, u32)>,
    pub(super) bodies: BTreeSet<String>,
    /// Every event that may have been sent, and what it said.
    pub(super) told: BTreeMap<Position, u64>,
    /// Those that have to be there still.
    pub(super) events: BTreeSet<Position>,
}

impl Facts {
    pub(super) fn tell(&mut self, log_end: u64, told: Told) {
        self.told.push((log_end, told));
    }

    pub(super) fn name(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// What was told before the log was so long, as the past of another log.
    pub(super) fn until(&self, log_end: u64) -> Self {
        let before = self.told.iter().filter(|(at, _)| *at <= log_end);
        Self { told: before.map(|(_, told)| (0, told.clone())).collect(), next: self.next }
    }

    /// What has to hold when the log was cut there.
    pub(super) fn wanted(&self, log_end: u64) -> Wanted {
        let mut wanted = Wanted::default();
        for (_, told) in self.told.iter().filter(|(at, _)| *at <= log_end) {
            wanted.add(told);
        }
        wanted
    }
}

impl Wanted {
    fn add(&mut self, told: &Told) {
        match told {
            Told::Command(cmd_id) => drop(self.commands.insert(cmd_id.clone())),
            Told::Job { job_id, rev } => drop(self.jobs.insert(job_id.clone(), *rev)),
            Told::Start { job_id, attempt } => drop(self.starts.insert((job_id.clone(), *attempt))),
            Told::Event { at, mark, is_promise } => {
                self.told.insert(*at, *mark);
                if *is_promise {
                    self.events.insert(*at);
                }
            }
            Told::Body { sha256 } => drop(self.bodies.insert(sha256.clone())),
            Told::Acked(upto) => self.events.retain(|at| at > upto),
            Told::Deleted { sha256 } => drop(self.bodies.remove(sha256)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_told_before_the_cut_is_wanted() {
        let at = |seq| Position { epoch: 1, seq };
        let event = |seq, is_promise| Told::Event { at: at(seq), mark: seq + 10, is_promise };
        let mut facts = Facts::default();
        for (log_end, told) in [
            (10, Told::Job { job_id: "j".into(), rev: 1 }),
            (20, event(1, true)),
            (20, event(2, false)),
            (30, Told::Job { job_id: "j".into(), rev: 2 }),
            (30, event(3, true)),
            (40, Told::Acked(at(1))),
            (50, Told::Start { job_id: "j".into(), attempt: 1 }),
        ] {
            facts.tell(log_end, told);
        }
        let early = facts.wanted(29);
        assert_eq!((early.jobs["j"], early.events.len(), early.told.len()), (1, 1, 2));
        let late = facts.until(40).wanted(0);
        assert_eq!(late.jobs["j"], 2);
        assert_eq!(late.events, BTreeSet::from([at(3)]), "what is acknowledged may be gone");
        assert_eq!(late.told.len(), 3, "but its number is taken for ever");
        assert!(late.starts.is_empty());
    }
}

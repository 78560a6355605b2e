//! What has to hold when everything has come to rest.

use serde_json::Value;
use spoolway_agent_core::link::Arrival;
use spoolway_protocol::command::{Command, CommandArgs, CommandStatus};

use crate::world::World;

impl World {
    pub(crate) fn check_events(&self) {
        assert_eq!(self.backend.stored, self.committed, "seed {}", self.seed);
        assert!(self.store.events.is_empty(), "seed {}", self.seed);
    }

    pub(crate) fn check_commands(&self) {
        let results = self.committed.values().flatten().filter_map(|event| event["data"].get("cmd_id"));
        let results: Vec<&str> = results.filter_map(Value::as_str).collect();
        assert_eq!(results.len(), self.backend.commands.len(), "seed {}: one result each", self.seed);
        for arrival in &self.backend.commands {
            let Command { cmd_id, seq, kind, .. } = &arrival.command;
            let (row, _) = &self.store.rows[cmd_id];
            let effects = self.effects.iter().filter(|effect| effect.cmd_id == *cmd_id).count();
            let told = format!("seed {}: {kind} {seq} {:?}, {effects} effects", self.seed, row.status);
            assert!(results.contains(&cmd_id.to_string().as_str()), "{told}");
            let idempotent = !matches!(kind.as_str(), "job.start" | "job.resume");
            assert!(idempotent || effects <= 1, "{told}");
            match row.status {
                CommandStatus::Done => assert!(effects >= 1, "{told}"),
                CommandStatus::Indeterminate => {
                    assert!(self.crashes > 0 && (!idempotent || kind == "printer.estop"), "{told}");
                }
                CommandStatus::Rejected => assert!(kind == "camera.dream" && effects == 0, "{told}"),
                CommandStatus::Expired => assert!(arrival.ttl_ms.is_some(), "{told}"),
                CommandStatus::Cancelled => assert!(self.was_stopped(&arrival.command), "{told}"),
                other => panic!("{told}: {other:?} is no end"),
            }
            if matches!(row.status, CommandStatus::Expired | CommandStatus::Cancelled) && self.crashes == 0 {
                assert_eq!(effects, 0, "{told}");
            }
        }
    }

    fn was_stopped(&self, command: &Command) -> bool {
        let stops = |arrival: &&Arrival| {
            let kind = arrival.command.kind.as_str();
            matches!(kind, "job.pause" | "job.cancel" | "printer.estop") && arrival.command.seq > command.seq
        };
        self.backend.commands.iter().any(|arrival| stops(&arrival))
    }

    /// Nothing moves after a stop that was given later. An emergency stop does not wait for the store, so a process that dies at once may
    /// forget it; then the printer itself is halted.
    pub(crate) fn check_stops(&self) {
        for (at, stop) in self.effects.iter().enumerate() {
            let (job, one_life) = match &stop.args {
                CommandArgs::JobCancel(args) => (Some(&args.job_id), false),
                CommandArgs::JobPause(args) => (Some(&args.job_id), false),
                CommandArgs::PrinterEstop(_) => (None, true),
                _ => continue,
            };
            for later in &self.effects[at..] {
                let moved = match &later.args {
                    CommandArgs::JobStart(args) => &args.job_id,
                    CommandArgs::JobResume(args) => &args.job_id,
                    _ => continue,
                };
                let covered = job.is_none_or(|job| job == moved) && (!one_life || later.life == stop.life);
                assert!(
                    !covered || later.seq > stop.seq,
                    "seed {}: {} moved after stop {}",
                    self.seed,
                    later.seq,
                    stop.seq
                );
            }
        }
    }
}

//! Emergency stops of the backend, pulled where they arrive: ahead of the desk, its queue and its database.
//!
//! The command then goes the way of every other one, so that it is stored, told and answered once.

use std::collections::VecDeque;

use spoolway_agent_core::link::judge::{Verdict, judge};
use spoolway_protocol::command::{Command, CommandArgs};
use spoolway_protocol::{CmdId, Seq};

use crate::bus::Inbound;
use crate::printer::EmergencyStop;

/// Stops that are remembered. A copy of an older one stops once more: better that than one that is missed.
const REMEMBERED: usize = 64;

/// Pulls each stop once.
#[derive(Debug)]
pub(super) struct Stops {
    stop: EmergencyStop,
    /// Highest command that was stored when this process began: what is at or below it may have stopped a machine before.
    floor: Seq,
    pulled: VecDeque<CmdId>,
}

impl Stops {
    pub(super) fn new(stop: EmergencyStop, floor: Seq) -> Self {
        Self { stop, floor, pulled: VecDeque::new() }
    }

    /// Looks at what has just arrived, and stops the machine if it is a new and lawful stop that presupposes nothing.
    pub(super) fn look(&mut self, arrived: &mut Inbound) {
        let Inbound::Command { command, ttl_ms, age_ms, has_stopped, .. } = arrived else { return };
        if self.is_new(command) && is_lawful(command, *ttl_ms, *age_ms) {
            self.stop.pull();
            self.pulled.push_back(command.cmd_id);
            if self.pulled.len() > REMEMBERED {
                self.pulled.pop_front();
            }
        }
        // A copy of one that was pulled must not be pulled again by the desk either.
        *has_stopped = self.pulled.contains(&command.cmd_id);
    }

    fn is_new(&self, command: &Command) -> bool {
        command.seq > self.floor && !self.pulled.contains(&command.cmd_id)
    }
}

/// What an emergency stop presupposes only the desk can judge.
fn is_lawful(command: &Command, ttl_ms: Option<u64>, age_ms: u64) -> bool {
    command.precondition.is_none()
        && matches!(judge(command, ttl_ms, age_ms), Verdict::Accept(CommandArgs::PrinterEstop(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(kind: &str, seq: u64, more: &str, age_ms: u64) -> Inbound {
        let text = format!(
            r#"{{"cmd_id":"0199c7a2-3b1e-7c44-8a11-{seq:012}","seq":{seq},"kind":"{kind}","args":{{}},"actor":{{"id":"u","role":"r"}}{more}}}"#
        );
        let command = Box::new(serde_json::from_str(&text).unwrap());
        Inbound::Command {
            command,
            lane: None,
            ttl_ms: Some(1_000),
            age_ms,
            signed: None,
            has_stopped: false,
        }
    }

    fn looked(stops: &mut Stops, mut arrived: Inbound) -> bool {
        stops.look(&mut arrived);
        matches!(arrived, Inbound::Command { has_stopped: true, .. })
    }

    #[test]
    fn a_stop_is_pulled_once_however_often_it_comes() {
        let stop = EmergencyStop::default();
        let mut stops = Stops::new(stop.clone(), Seq(4));
        assert!(looked(&mut stops, arrival("printer.estop", 5, "", 0)) && stop.take());
        assert!(looked(&mut stops, arrival("printer.estop", 5, "", 0)) && !stop.take());
        assert!(looked(&mut stops, arrival("printer.estop", 6, "", 1_000)) && stop.take());
    }

    #[test]
    fn of_many_stops_the_latest_are_known_again_and_an_older_one_stops_once_more() {
        let stop = EmergencyStop::default();
        let mut stops = Stops::new(stop.clone(), Seq(4));
        let last = 5 + REMEMBERED as u64;
        for seq in 5..=last {
            assert!(looked(&mut stops, arrival("printer.estop", seq, "", 0)) && stop.take(), "{seq}");
        }
        for seq in 6..=last {
            assert!(looked(&mut stops, arrival("printer.estop", seq, "", 0)) && !stop.take(), "{seq}");
        }
        assert!(looked(&mut stops, arrival("printer.estop", 5, "", 0)) && stop.take());
        assert_eq!(stops.pulled.len(), REMEMBERED);
    }

    #[test]
    fn what_is_old_unlawful_or_something_else_is_left_to_the_desk() {
        let stop = EmergencyStop::default();
        let mut stops = Stops::new(stop.clone(), Seq(4));
        for arrived in [
            arrival("printer.estop", 4, "", 0),
            arrival("printer.estop", 5, "", 1_001),
            arrival("printer.estop", 5, r#","if":{"bed_epoch":3}"#, 0),
            arrival("printer.estop", 5, r#","must":["moon"]"#, 0),
            arrival("job.pause", 5, "", 0),
            Inbound::Connected,
        ] {
            assert!(!looked(&mut stops, arrived) && !stop.take());
        }
    }
}

//! What is to be said of a print that is over.

use spoolway_agent_core::stream::Ending;
use spoolway_firmware_profiles::Sequence;
use spoolway_firmware_profiles::flow::Window;

use super::{End, Kind, Noise, Outcome, Scenario, World};
use crate::check::{self, Circumstances, Course, Fault, Printed, Rules};
use crate::printer::{Executed, Survivor, survivors};

/// `N500*999` and its line feed.
const PROBE_BYTES: u64 = 9;

/// Whether bytes may find the ring full although nobody broke a rule: it is smaller than its profile says; the window is
/// meant to reach beyond it and narrows when that proves wrong; an `ok` too many opened the window early; or a firmware that
/// throws nothing away when it refuses a line still holds what counts as lost. All of these check the sequence.
pub(super) fn may_drop(scenario: &Scenario) -> bool {
    let reaches_beyond = match scenario.profile.flow.window {
        Window::AdvancedOk => scenario.printer.advanced_ok,
        Window::BytesAndQueue => true,
        _ => false,
    };
    reaches_beyond || (scenario.kind == Kind::Checked && scenario.noise != Noise::None)
}

impl World {
    /// Notes how full the window is now that something was written, as long as nothing had to be sent again: a request for
    /// lines puts back what counts as being on its way. One line may always go.
    pub(super) fn look_at_window(&mut self) {
        let (force, bytes) = (self.streamer.window_in_force(), self.streamer.bytes_in_flight());
        let one_line = self.scenario.profile.framing.max_line_bytes as usize + 1;
        if self.is_undisturbed && force.queue_lines == 0 && bytes > one_line {
            self.fullness.bytes_above = self.fullness.bytes_above.max(bytes.saturating_sub(force.bytes));
        }
    }

    /// How far the job has come at the printer, whatever the streamer thinks.
    pub(super) fn course(&self, executed: &[Executed], found: &[Survivor]) -> Course {
        let rules = Rules::of(&self.scenario.profile, self.person.paused);
        check::course(&self.printed(executed, found, &rules, false))
    }

    /// Whether the job had begun by then, and was not done.
    fn was_under_way(&self, at_us: u64, executed: &[Executed]) -> bool {
        let before: Vec<Executed> = executed.iter().take_while(|line| line.at_us <= at_us).cloned().collect();
        let found = survivors(self.frames.iter().map(Vec::as_slice), &before);
        (1..self.scenario.job.len()).contains(&self.course(&before, &found).done)
    }

    /// What has left the host still arrives, also behind an acknowledgement too many.
    fn deliver_the_rest(&mut self) {
        for _ in 0..20 {
            self.now_us += 500_000;
            self.carry();
        }
    }

    fn printed<'a>(
        &'a self,
        executed: &'a [Executed],
        survivors: &'a [Survivor],
        rules: &'a Rules,
        complete: bool,
    ) -> Printed<'a> {
        Printed { job: &self.scenario.job, frames: &self.frames, executed, survivors, rules, complete }
    }

    pub(super) fn judge(mut self, end: End) -> Outcome {
        let elapsed_us = self.now_us;
        let working = !self.printer.is_idle(self.now_us);
        self.deliver_the_rest();
        // What has been accepted is still carried out.
        self.printer.advance(self.now_us + 3_600_000_000);
        let executed: Vec<Executed> = self.printer.executed().to_vec();
        let found = survivors(self.frames.iter().map(Vec::as_slice), &executed);
        let statistics = self.printer.statistics().clone();
        let was_reset = statistics.resets > 0;
        // What was accepted and not yet carried out is lost in a reset behind the last line.
        let complete = end == End::Ended(Ending::Completed) && !was_reset;
        let rules = Rules::of(&self.scenario.profile, self.person.paused);
        let mut faults = check::lines_once_in_order(&self.printed(&executed, &found, &rules, complete));
        if self.person.saw_disorder {
            // A doubled reply let a line pass a damaged one, where the firmware does not count: told as doubt, and given up.
            faults.clear();
        }
        // The host never writes `M112`, and a job here holds nothing that keeps a printer busy for minutes.
        let holds_up = found.iter().any(|survivor| may_hold_up(survivor.line.text()));
        let known = Circumstances {
            was_reset,
            reset_in_job: statistics.last_reset_us.is_some_and(|at_us| self.was_under_way(at_us, &executed)),
            cancelled: self.person.cancelled,
            unplugged: self.scenario.unplug_at_us.is_some(),
            stuck_by_damage: statistics.kills > 0 || (working && holds_up),
            is_checked: self.scenario.profile.recovery.sequence == Sequence::Verified,
        };
        faults.extend(check::ended_as_it_must(&end, known));
        // The printer is asked where it stands although its ring may be full: then the question itself finds no room.
        let asked = self.streamer.stats().job_probes * PROBE_BYTES;
        self.fullness.dropped = statistics.rx_dropped.saturating_sub(asked);
        faults.extend(check::window_respected(self.fullness));
        if self.scenario.kills.is_some() && self.scenario.noise == Noise::None {
            let numbered = found.iter().filter(|survivor| survivor.line.number.is_some());
            let altered = numbered.map(|survivor| String::from_utf8_lossy(&survivor.line.raw));
            faults.extend(altered.map(|line| Fault(format!("{line:?} was carried out on a good link"))));
        }
        Outcome {
            end,
            was_reset,
            faults,
            elapsed_us,
            resends: statistics.resends,
            probes: self.streamer.stats().job_probes,
            rx_dropped: statistics.rx_dropped,
            doubts: self.person.doubts,
            taken_back: statistics.lines_taken_back,
            host_commands: self.course(&executed, &found).host_commands,
            kills: self.process.killed,
            survivors: found,
            scenario: self.scenario,
        }
    }
}

/// Whether a damaged line can keep a printer busy for longer than the agent's patience: moves at another speed or to
/// another place, dwells, and waits for a temperature or a person.
fn may_hold_up(text: &[u8]) -> bool {
    let word = text.split(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
    matches!(word, [b'G', ..] | b"M0" | b"M1" | b"M82" | b"M83" | b"M109" | b"M190" | b"M400")
}

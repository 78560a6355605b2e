//! One side of a conversation with a firmware: what it says, and what the streamer writes.

use std::time::Duration;

use spoolway_agent_core::Moment;
use spoolway_agent_core::gcode::{Batch, Position, checksum};
use spoolway_agent_core::stream::{Event, Output, StopReason, StreamOptions, Streamer};
use spoolway_firmware_profiles::Registry;

/// What the firmware is asked with; it can only refuse it.
pub(crate) const PROBE: &str = "N500*999";

pub(crate) struct Talk {
    pub(crate) streamer: Streamer,
    pub(crate) now: Moment,
    pub(crate) events: Vec<Event>,
}

impl Talk {
    pub(crate) fn with(change: impl FnOnce(&mut StreamOptions)) -> Self {
        let registry = Registry::built_in();
        let profile = &registry.get("marlin").unwrap().profile;
        // Reports come by themselves, so that no query stands between the lines.
        let mut options = StreamOptions::from_profile(profile, |name| name != "SERIAL_XON_XOFF");
        change(&mut options);
        Self { streamer: Streamer::new(options, Moment::ZERO), now: Moment::ZERO, events: Vec::new() }
    }

    /// Lines written since the last call.
    pub(crate) fn hear(&mut self) -> Vec<String> {
        let mut text = Vec::new();
        loop {
            match self.streamer.poll_output(self.now) {
                Output::Write(bytes) => text.extend(bytes),
                Output::Event(event) => self.events.push(event),
                Output::Wait(_) => break,
            }
        }
        let text = String::from_utf8(text).unwrap();
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    pub(crate) fn say(&mut self, text: &str) -> Vec<String> {
        self.streamer.handle_bytes(self.now, text.as_bytes());
        self.hear()
    }

    pub(crate) fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now = self.now + time;
        self.hear()
    }

    pub(crate) fn ms(&mut self, ms: u64) -> Vec<String> {
        self.pass(Duration::from_millis(ms))
    }

    /// Answers as Marlin does when it expects `line`.
    pub(crate) fn refuse(&mut self, line: u32) -> Vec<String> {
        self.say(&format!(
            "Error:Line Number is not Last Line Number+1, Last Line: {}\nResend: {line}\nok\n",
            line - 1
        ))
    }

    pub(crate) fn synchronise(&mut self) {
        assert_eq!(self.hear(), [framed(1000, "M110 N1000")]);
        assert_eq!(self.say("ok\n"), [""; 0]);
        assert_eq!(self.ms(30), [PROBE]);
        assert_eq!(self.refuse(1001), [""; 0]);
    }

    /// A job that has begun; gives the first lines written.
    pub(crate) fn printing(commands: &[&str]) -> (Self, Vec<String>) {
        Self::printing_with(commands, |_| ())
    }

    pub(crate) fn printing_with(
        commands: &[&str],
        change: impl FnOnce(&mut StreamOptions),
    ) -> (Self, Vec<String>) {
        let mut talk = Self::with(change);
        talk.synchronise();
        talk.ms(30);
        talk.streamer.begin_job().unwrap();
        talk.synchronise();
        talk.feed(commands);
        let first = talk.ms(30);
        (talk, first)
    }

    /// A job for a firmware that does not check the sequence of numbers, so many lines at a time.
    pub(crate) fn printing_unverified(commands: &[&str], lines: usize) -> (Self, Vec<String>) {
        let mut talk = Self::with(|options| {
            options.verified = false;
            options.reach.lines = lines;
        });
        talk.begin_unverified(commands);
        let first = talk.ms(30);
        (talk, first)
    }

    /// Begins a job where the counter is set and not proven.
    pub(crate) fn begin_unverified(&mut self, commands: &[&str]) {
        self.hear();
        self.say("ok\n");
        self.ms(30);
        self.streamer.begin_job().unwrap();
        self.hear();
        self.say("ok\n");
        self.feed(commands);
    }

    pub(crate) fn feed(&mut self, commands: &[&str]) {
        let mut batch = Batch::default();
        for (index, command) in commands.iter().enumerate() {
            batch.push(command.as_bytes(), Position { line: index as u64 + 1, byte: 0, layer: 0 });
        }
        self.streamer.feed(batch);
        self.streamer.feed_end();
    }

    pub(crate) fn stopped(&self) -> &StopReason {
        self.streamer.stopped().expect("it has given up")
    }
}

pub(crate) fn framed(number: u32, command: &str) -> String {
    let line = format!("N{number} {command}");
    let sum = checksum(line.as_bytes());
    format!("{line}*{sum}")
}

pub(crate) fn moves(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("G1 X{} Y{} F3000", 100 + n, 50 + n)).collect()
}

pub(crate) fn refs(commands: &[String]) -> Vec<&str> {
    commands.iter().map(String::as_str).collect()
}

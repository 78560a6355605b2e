//! The host's side of the conversations, played by the streamer: it hears what the real firmware said and has to come to
//! the same account of what was accepted.
//!
//! Only what a host of ours would write is played: numbered lines, as many at once as were written at once then. A line
//! that was written wrong on purpose is taken for one that was damaged on its way. Numbers in replies are moved to those
//! that the streamer uses.

use std::time::Duration;

use spoolway_agent_core::Moment;
use spoolway_agent_core::gcode::{Batch, Position};
use spoolway_agent_core::stream::{Commands, Event, FIRST_NUMBER, Output, Reach, StreamOptions, Streamer};
use spoolway_firmware_profiles::Registry;

use crate::load;

/// Longer than any wait for replies to settle, shorter than any for a lost one.
const A_WHILE: Duration = Duration::from_millis(300);

/// What the streamer made of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    /// Commands handed over.
    fed: u64,
    /// Of these acknowledged.
    acknowledged: u64,
    refusals: u64,
    repeated: u64,
    strays: u64,
    probes: u64,
}

struct Replay {
    streamer: Streamer,
    now: Moment,
    fed: u64,
    /// The last line was refused, so the next one that is written repeats it.
    refused: bool,
}

impl Replay {
    fn new() -> Self {
        let registry = Registry::built_in();
        let profile = &registry.get("marlin").unwrap().profile;
        // Reports come by themselves, so that no query of the agent's own stands between the lines.
        let mut options = StreamOptions::from_profile(profile, |name| name != "SERIAL_XON_XOFF");
        // As the host of then, which did not look at the ring.
        options.reach = Reach { bytes: 4096, lines: 64, ..options.reach };
        options.blocking = Commands::default();
        let mut replay = Self {
            streamer: Streamer::new(options, Moment::ZERO),
            now: Moment::ZERO,
            fed: 0,
            refused: false,
        };
        replay.synchronise();
        replay.streamer.begin_job().unwrap();
        replay.synchronise();
        replay
    }

    /// Lines written.
    fn poll(&mut self) -> Vec<String> {
        let mut text = Vec::new();
        loop {
            match self.streamer.poll_output(self.now) {
                Output::Write(bytes) => text.extend(bytes),
                Output::Event(Event::Stopped(reason)) => panic!("stopped: {reason}"),
                Output::Event(_) => {}
                Output::Wait(_) => break,
            }
        }
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    fn hear(&mut self, line: &str) {
        self.streamer.handle_bytes(self.now, format!("{line}\n").as_bytes());
        self.poll();
    }

    fn pass(&mut self) {
        self.now = self.now + A_WHILE;
        self.poll();
    }

    fn synchronise(&mut self) {
        self.poll();
        self.hear("ok");
        self.pass();
        for line in [&format!("Resend: {}", FIRST_NUMBER + 1), "ok"] {
            self.hear(line);
        }
        self.pass();
    }

    /// The host of then wrote these lines, and the firmware answered so.
    fn exchange(&mut self, commands: &[&str], answers: &[&str]) {
        if self.refused {
            // The streamer has sent it again by itself.
            assert_eq!(commands.len(), 1);
        } else {
            let mut batch = Batch::default();
            for command in commands {
                self.fed += 1;
                batch.push(command.as_bytes(), Position { line: self.fed, byte: 0, layer: 0 });
            }
            self.streamer.feed(batch);
        }
        self.pass();
        for answer in answers {
            self.hear(&moved(answer));
        }
        self.refused = answers.iter().any(|answer| answer.starts_with("Resend:"));
        self.pass();
    }

    fn account(&self) -> Account {
        let stats = self.streamer.stats();
        Account {
            fed: self.fed,
            acknowledged: self.streamer.progress().commands,
            refusals: stats.job_refusals,
            repeated: stats.lines_repeated,
            strays: stats.stray_acks,
            probes: stats.job_probes,
        }
    }
}

/// A reply with its line numbers as they would be if the count had begun where ours begins.
fn moved(reply: &str) -> String {
    let number = |text: &str| text.trim().parse::<u32>().map(|number| number + FIRST_NUMBER);
    for head in ["Resend:", "ok N"] {
        if let Some(rest) = reply.strip_prefix(head) {
            let (digits, rest) =
                rest.split_once(" P").map_or((rest, String::new()), |(n, p)| (n, format!(" P{p}")));
            return format!("{head}{}{rest}", number(digits).unwrap());
        }
    }
    match reply.rsplit_once("Last Line: ") {
        Some((head, digits)) => format!("{head}Last Line: {}", number(digits).unwrap()),
        None => reply.to_owned(),
    }
}

/// The command of a numbered line.
fn command(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('N')?;
    let (_, rest) = rest.split_once(' ')?;
    Some(rest.rsplit_once('*').map_or(rest, |(command, _)| command).trim())
}

/// Plays a conversation from where the counter was set until the host wrote something that begins with `until`.
fn replay(name: &str, until: &str) -> Account {
    let conversation = load(name);
    let exchanges = conversation.exchanges();
    let sets_counter = |line: &str| command(line).is_some_and(|command| command.starts_with("M110"));
    let begin =
        exchanges.iter().position(|exchange| exchange.asked.iter().any(|line| sets_counter(line))).unwrap();
    let mut replay = Replay::new();
    for exchange in &exchanges[begin + 1..] {
        if exchange.asked[0].starts_with(until) {
            break;
        }
        // Lines without a number were typed by a person.
        let commands: Vec<_> = exchange.asked.iter().filter_map(|line| command(line)).collect();
        if commands.len() == exchange.asked.len() {
            replay.exchange(&commands, &exchange.answered);
        }
    }
    replay.account()
}

#[test]
fn acknowledged_lines_are_counted_as_in_the_conversation() {
    // N1 to N28, with what came in one go answered in one go: nothing is left, nothing was too much.
    let expected = Account { fed: 52, acknowledged: 52, ..Account::default() };
    assert_eq!(replay("marlin-2.0.9-advanced_ok", "M400"), expected);
}

#[test]
fn a_line_that_was_refused_three_times_is_accepted_once() {
    // N4 went wrong as N9, as N3 with a wrong sum and as N3 without one; then N4, N5, N6 to N19 and N20 to N33.
    let expected = Account { fed: 33, acknowledged: 33, refusals: 3, repeated: 3, ..Account::default() };
    assert_eq!(replay("marlin-2.0.9-basic", "M112"), expected);
    // N2 was damaged three times; the line behind N3 would not have been let through at all.
    let expected = Account { fed: 3, acknowledged: 3, refusals: 3, repeated: 3, ..Account::default() };
    assert_eq!(replay("marlin-2.0.9-checksum", "N3 G1"), expected);
}

#[test]
fn what_an_overrun_ring_swallowed_is_known_to_the_line() {
    // 30 lines into a ring of 128 bytes: ten replies came before the request for line 15, its own behind it, and then
    // one for each of the three lines that had been accepted. The line is sent again alone.
    let expected = Account { fed: 31, acknowledged: 14, refusals: 1, repeated: 1, ..Account::default() };
    assert_eq!(replay("marlin-2.0.9-rx-overflow", "M105"), expected);
}

#[test]
fn another_implementation_is_understood_as_well() {
    // The virtual printer of OctoPrint: N4 went wrong twice, then N4 and N5 to N14.
    let expected = Account { fed: 14, acknowledged: 14, refusals: 2, repeated: 2, ..Account::default() };
    assert_eq!(replay("octoprint-virtual", "!!DEBUG:trigger"), expected);
}

//! Opens a conversation: the firmware is asked who it is, again if it was still starting, until it has answered.

use std::time::Duration;

use spoolway_firmware_profiles::FirmwareReport;
use thiserror::Error;

use crate::Moment;

/// Longest line that is looked at.
const LINE_BYTES_MAX: usize = 1024;
/// Most banner lines that are kept.
const BANNERS_MAX: usize = 32;
/// So many questions that were answered without a name: the firmware does not know M115.
const NAMELESS_ANSWERS_MAX: u32 = 2;

/// How patient a greeting is.
#[derive(Debug, Clone, Copy)]
pub struct GreetingOptions {
    /// A board that resets when the port is opened is silent for this long.
    pub boot_wait: Duration,
    /// Time between two questions.
    pub retry: Duration,
    /// Quiet after a banner, or after an answer without a name, before going on.
    pub quiet: Duration,
    /// Questions without any answer after the boot wait.
    pub tries_max: u32,
}

impl Default for GreetingOptions {
    fn default() -> Self {
        Self {
            boot_wait: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            quiet: Duration::from_millis(200),
            tries_max: 5,
        }
    }
}

/// What is known of the firmware.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Greeted {
    /// What it printed when it started.
    pub banners: Vec<String>,
    /// What it answered to M115.
    pub report: FirmwareReport,
}

/// Nobody who could be understood is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unanswered {
    /// Not a byte came.
    #[error("the printer says nothing: is it switched on, and is this its port?")]
    Silent,
    /// Bytes came that are no text.
    #[error("the printer's bytes are no text: is the baud rate right?")]
    Garbled,
    /// Text came, but never an answer.
    #[error("the printer talks but answers no question: is it busy or halted?")]
    Deaf,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum GreetingOutput {
    /// Write these bytes.
    Write(Vec<u8>),
    /// Nothing until then, or until bytes come.
    Wait(Moment),
    /// The firmware is known.
    Greeted(Greeted),
    /// It is not, and asking again is of no use.
    Unanswered(Unanswered),
}

/// The opening of one conversation.
#[derive(Debug)]
pub struct Greeting {
    options: GreetingOptions,
    began: Moment,
    step: Step,
    tries: u32,
    asked: u32,
    question: Question,
    /// An acknowledgement came and no name, which may be owed to whoever held the port before.
    answered: bool,
    nameless: u32,
    heard: Heard,
    line: Vec<u8>,
    found: Greeted,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The question is to be asked at this moment.
    Ask { at: Moment },
    /// It was asked; ask again at this moment.
    Asked { again: Moment },
    /// The name is known; done when nothing more comes, or at the `ok`.
    Named { quiet: Moment },
    /// Answered.
    Done,
}

/// How the firmware is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// M115, which nearly all know; where nothing is heard, now and then with the prefix of Flashforge's line protocol.
    Name,
    /// `$I`, for those who refuse M115 with an `error:` (grbl `report.c`).
    Build,
}

/// The best that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Heard {
    Nothing,
    Noise,
    Text,
}

impl Greeting {
    /// The port has just been opened.
    #[must_use]
    pub fn new(options: GreetingOptions, now: Moment) -> Self {
        Self {
            options,
            began: now,
            step: Step::Ask { at: now },
            tries: 0,
            asked: 0,
            question: Question::Name,
            answered: false,
            nameless: 0,
            heard: Heard::Nothing,
            line: Vec::new(),
            found: Greeted::default(),
        }
    }

    /// Takes what the printer sent.
    pub fn handle_bytes(&mut self, now: Moment, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || byte == b'\r' {
                let line = std::mem::take(&mut self.line);
                self.take_line(now, &line);
            } else if self.line.len() < LINE_BYTES_MAX {
                self.line.push(byte);
            }
        }
        if !bytes.is_empty() {
            self.heard = self.heard.max(Heard::Noise);
        }
    }

    /// Gives the next thing to do; call it until it says wait.
    pub fn poll_output(&mut self, now: Moment) -> GreetingOutput {
        match self.step {
            Step::Ask { at } if now >= at => self.ask(now),
            Step::Asked { again } if now >= again => self.ask(now),
            Step::Named { quiet } if now >= quiet => {
                self.step = Step::Done;
                GreetingOutput::Greeted(std::mem::take(&mut self.found))
            }
            Step::Done => GreetingOutput::Greeted(std::mem::take(&mut self.found)),
            Step::Ask { at: then } | Step::Asked { again: then } | Step::Named { quiet: then } => {
                GreetingOutput::Wait(then)
            }
        }
    }

    fn ask(&mut self, now: Moment) -> GreetingOutput {
        self.nameless += u32::from(std::mem::take(&mut self.answered));
        if self.nameless >= NAMELESS_ANSWERS_MAX {
            self.step = Step::Done;
            return GreetingOutput::Greeted(std::mem::take(&mut self.found));
        }
        if now >= self.began + self.options.boot_wait {
            self.tries += 1;
        }
        if self.tries > self.options.tries_max {
            return GreetingOutput::Unanswered(match self.heard {
                Heard::Nothing => Unanswered::Silent,
                Heard::Noise => Unanswered::Garbled,
                Heard::Text => Unanswered::Deaf,
            });
        }
        self.step = Step::Asked { again: now + self.options.retry };
        self.asked += 1;
        // The line feed ends what a former host, or a boot loader's noise, may have begun.
        let question: &[u8] = match self.question {
            Question::Build => b"\n$I\n",
            Question::Name if self.heard == Heard::Nothing && self.asked.is_multiple_of(3) => b"\n~M115\n",
            Question::Name => b"\nM115\n",
        };
        GreetingOutput::Write(question.to_vec())
    }

    fn take_line(&mut self, now: Moment, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        let Some(text) = std::str::from_utf8(line).ok().filter(|t| !t.contains(is_noise)) else {
            self.heard = self.heard.max(Heard::Noise);
            return;
        };
        self.heard = Heard::Text;
        let answered = text.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("ok"));
        let learnt = self.found.report.feed(text);
        match self.step {
            Step::Ask { .. } | Step::Asked { .. } if self.is_named() => {
                self.step = Step::Named { quiet: now + self.options.retry };
                if answered {
                    self.step = Step::Done;
                }
            }
            Step::Named { .. } if answered => self.step = Step::Done,
            Step::Named { .. } if learnt => self.step = Step::Named { quiet: now + self.options.retry },
            Step::Asked { .. } if answered && self.question == Question::Build => self.step = Step::Done,
            Step::Asked { .. } if answered => self.take_nameless(now),
            Step::Asked { .. } if is_refusal(text) && self.question == Question::Name => {
                self.question = Question::Build;
                self.step = Step::Ask { at: now };
            }
            // What it says of its build comes before the `ok`.
            Step::Asked { .. } if self.question == Question::Build => self.keep(text),
            Step::Ask { .. } | Step::Asked { .. } => self.take_banner(now, text),
            Step::Named { .. } | Step::Done => {}
        }
    }

    /// Flashforge names the machine and no firmware.
    fn is_named(&self) -> bool {
        self.found.report.name.is_some() || self.found.report.machine_type.is_some()
    }

    /// The name is still to come where the port's former holder had asked for something else: several acknowledgements are
    /// no answer to one question.
    fn take_nameless(&mut self, now: Moment) {
        self.answered = true;
        self.step = Step::Asked { again: now + self.options.quiet };
    }

    /// A firmware that has just started forgets what was asked before: ask when it has finished its say.
    fn take_banner(&mut self, now: Moment, text: &str) {
        self.keep(text);
        self.step = Step::Ask { at: now + self.options.quiet };
    }

    fn keep(&mut self, text: &str) {
        if self.found.banners.len() < BANNERS_MAX {
            self.found.banners.push(text.to_owned());
        }
    }
}

/// No text has control characters, but for the tabs in Malyan's answer.
fn is_noise(character: char) -> bool {
    character.is_control() && character != '\t'
}

/// grbl's `error:20`; Marlin's `Error:` is followed by a text.
fn is_refusal(text: &str) -> bool {
    text.strip_prefix("error:")
        .is_some_and(|code| !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const M115: &[u8] = b"FIRMWARE_NAME:Marlin 2.1 PROTOCOL_VERSION:1.0\nCap:EMERGENCY_PARSER:1\nok\n";

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn asked(greeting: &mut Greeting, ms: u64) -> bool {
        matches!(greeting.poll_output(at(ms)), GreetingOutput::Write(_))
    }

    #[test]
    fn a_board_that_did_not_reset_answers_at_once() {
        let mut greeting = Greeting::new(GreetingOptions::default(), at(0));
        assert!(asked(&mut greeting, 0));
        assert_eq!(greeting.poll_output(at(1)), GreetingOutput::Wait(at(2000)));
        greeting.handle_bytes(at(5), M115);
        let GreetingOutput::Greeted(found) = greeting.poll_output(at(5)) else { panic!() };
        assert!(found.report.has("EMERGENCY_PARSER"));
    }

    #[test]
    fn a_board_that_resets_is_asked_again_after_its_banner() {
        let mut greeting = Greeting::new(GreetingOptions::default(), at(0));
        assert!(asked(&mut greeting, 0));
        greeting.handle_bytes(at(1500), b"start\necho:Marlin 2.1\n");
        assert_eq!(greeting.poll_output(at(1501)), GreetingOutput::Wait(at(1700)));
        assert!(asked(&mut greeting, 1700));
        greeting.handle_bytes(at(1710), M115);
        let GreetingOutput::Greeted(found) = greeting.poll_output(at(1710)) else { panic!() };
        assert_eq!(found.banners[0], "start");
    }

    #[test]
    fn silence_rubbish_and_deafness_are_told_apart() {
        for (said, expected) in [
            (&b""[..], Unanswered::Silent),
            (b"\x80\xfe\n\x00\x81\n", Unanswered::Garbled),
            (b"echo:busy: processing\n", Unanswered::Deaf),
            ("p\u{de}:REPEAT:7\n".as_bytes(), Unanswered::Deaf),
        ] {
            let mut greeting = Greeting::new(GreetingOptions::default(), at(0));
            let mut now = 0;
            let end = loop {
                match greeting.poll_output(at(now)) {
                    GreetingOutput::Write(_) => greeting.handle_bytes(at(now), said),
                    GreetingOutput::Wait(until) => now = until.as_millis(),
                    GreetingOutput::Greeted(_) => panic!("nobody answered"),
                    GreetingOutput::Unanswered(why) => break why,
                }
                assert!(now < 120_000, "a greeting ends");
            };
            assert_eq!(end, expected);
        }
    }

    #[test]
    fn a_firmware_that_refuses_m115_is_asked_for_its_build() {
        let mut greeting = Greeting::new(GreetingOptions::default(), at(0));
        assert!(asked(&mut greeting, 0));
        greeting.handle_bytes(at(5), b"ok\nerror:20\n");
        assert_eq!(greeting.poll_output(at(5)), GreetingOutput::Write(b"\n$I\n".to_vec()));
        greeting.handle_bytes(at(9), b"[VER:1.1h.20190830:]\r\n[OPT:V,15,128]\r\nok\r\n");
        let GreetingOutput::Greeted(found) = greeting.poll_output(at(9)) else { panic!() };
        assert_eq!(found.banners, ["[VER:1.1h.20190830:]", "[OPT:V,15,128]"]);
    }

    #[test]
    fn a_silent_port_is_also_asked_in_the_words_of_flashforge() {
        let mut greeting = Greeting::new(GreetingOptions::default(), at(0));
        for (now, question) in [(0, "\nM115\n"), (2000, "\nM115\n"), (4000, "\n~M115\n")] {
            assert_eq!(greeting.poll_output(at(now)), GreetingOutput::Write(question.into()), "{now}");
        }
        greeting.handle_bytes(at(4005), b"CMD M115 Received.\nMachine Type: Flashforge Finder\nok\n");
        let GreetingOutput::Greeted(found) = greeting.poll_output(at(4006)) else { panic!() };
        assert_eq!(found.report.machine_type.as_deref(), Some("Flashforge Finder"));
    }

    #[test]
    fn an_answer_with_tabs_is_an_answer() {
        let mut greeting = Greeting::new(GreetingOptions::default(), at(0));
        assert!(asked(&mut greeting, 0));
        greeting.handle_bytes(at(5), b"NAME: Malyan\tVER: 2.9\tMODEL: M200\tHW: HA02\nok\n");
        let GreetingOutput::Greeted(found) = greeting.poll_output(at(6)) else { panic!() };
        assert_eq!(found.report.name.as_deref(), Some("Malyan"));
    }

    #[test]
    fn a_firmware_without_m115_is_taken_as_it_is() {
        let mut greeting = Greeting::new(GreetingOptions::default(), at(0));
        assert!(asked(&mut greeting, 0));
        greeting.handle_bytes(at(5), b"ok\n");
        assert_eq!(greeting.poll_output(at(6)), GreetingOutput::Wait(at(205)));
        assert!(asked(&mut greeting, 205));
        greeting.handle_bytes(at(210), b"ok\n");
        assert_eq!(greeting.poll_output(at(410)), GreetingOutput::Greeted(Greeted::default()));
    }

    #[test]
    fn what_the_former_holder_of_the_port_is_owed_is_no_answer() {
        let mut greeting = Greeting::new(GreetingOptions::default(), at(0));
        assert!(asked(&mut greeting, 0));
        greeting.handle_bytes(at(1), b"ok\nok\nok T:20.0 /0.0\n");
        assert_eq!(greeting.poll_output(at(2)), GreetingOutput::Wait(at(201)));
        greeting.handle_bytes(at(150), M115);
        let GreetingOutput::Greeted(found) = greeting.poll_output(at(150)) else { panic!() };
        assert_eq!(found.report.name.as_deref(), Some("Marlin 2.1"));
    }
}

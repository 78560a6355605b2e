//! Host actions (`//action:`): what a firmware asks of its host, and the questions that it asks a person through it.
//!
//! Words: Marlin's `host_actions.cpp` and `pause.cpp`, Prusa's `Prusa_farm.cpp`; a word may be followed by a reason
//! (`paused filament_runout 0`). A question comes in pieces and counts once the firmware says that it is to be shown.

/// Longest text of a question, a choice or a note that is kept, in characters.
const TEXT_CHARS: usize = 120;
/// Most choices that are kept; Marlin's longest question has four.
const CHOICES: usize = 16;

/// What a firmware asks of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Hold the job.
    Pause(Hold),
    /// Go on with it.
    Resume,
    /// Give it up.
    Cancel,
    /// The power is about to go, or the firmware has stopped itself.
    PowerOff,
    /// Close the port.
    Disconnect,
    /// Whether a person has said at the printer that the next job may start.
    Ready(bool),
    /// A text for a person.
    Note(String),
    /// A piece of a question.
    Prompt(Piece),
    /// A word that means nothing here.
    Other(String),
}

/// Why the firmware wants the job held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// It asks for it.
    Asked(String),
    /// It has paused by itself, because of a person or a filament change.
    Already(String),
    /// There is no filament left.
    OutOfFilament(String),
}

impl Hold {
    /// What the firmware says of it, if its sensor has found no filament (Marlin `runout.cpp`, Prusa `fsensor.cpp`).
    #[must_use]
    pub fn runout(&self) -> Option<&str> {
        match self {
            Self::OutOfFilament(why) => Some(why),
            Self::Asked(why) | Self::Already(why) => Some(why).filter(|why| why.contains("filament_runout")),
        }
        .map(String::as_str)
    }
}

/// A piece of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It begins with this text.
    Begin(String),
    /// It offers this choice.
    Choice(String),
    /// It is whole.
    Show,
    /// It is no longer open.
    End,
}

impl Action {
    /// Understands the text behind `//action:`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let (word, rest) = text.split_once([' ', ':']).unwrap_or((text, ""));
        let rest = clean(rest);
        match word.to_ascii_lowercase().as_str() {
            "pause" => Self::Pause(Hold::Asked(rest)),
            "paused" => Self::Pause(Hold::Already(rest)),
            "out_of_filament" => Self::Pause(Hold::OutOfFilament(rest)),
            "resume" | "resumed" => Self::Resume,
            "cancel" => Self::Cancel,
            "poweroff" | "shutdown" | "kill" => Self::PowerOff,
            "disconnect" => Self::Disconnect,
            "ready" => Self::Ready(true),
            "not_ready" => Self::Ready(false),
            "notification" => Self::Note(rest),
            "prompt_begin" => Self::Prompt(Piece::Begin(rest)),
            "prompt_choice" | "prompt_button" => Self::Prompt(Piece::Choice(rest)),
            "prompt_show" => Self::Prompt(Piece::Show),
            "prompt_end" => Self::Prompt(Piece::End),
            _ => Self::Other(clean(text)),
        }
    }
}

/// Printable, and no longer than a screen's line or two.
fn clean(text: &str) -> String {
    let printable = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(TEXT_CHARS).collect()
}

/// A question that a person has to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Counts the questions of this machine, from 1.
    pub number: u64,
    /// What is asked.
    pub text: String,
    /// What can be answered, by place from 0; nothing when the firmware only waits for a sign.
    pub choices: Vec<String>,
}

impl Prompt {
    /// Whether an answer is one that the firmware offers.
    #[must_use]
    pub fn offers(&self, choice: u32) -> bool {
        (choice as usize) < self.choices.len().max(1)
    }
}

/// What becomes of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptNews {
    /// It is open; one that was open before is replaced.
    Opened(Prompt),
    /// The firmware has taken it back.
    Withdrawn(u64),
}

/// Collects the pieces of questions.
#[derive(Debug, Default)]
pub struct Prompts {
    asked: u64,
    pieces: Option<(String, Vec<String>)>,
    open: Option<Prompt>,
}

impl Prompts {
    /// The question that is open.
    #[must_use]
    pub fn open(&self) -> Option<&Prompt> {
        self.open.as_ref()
    }

    /// Takes a piece; gives what a person has to be told.
    pub fn handle_piece(&mut self, piece: Piece) -> Option<PromptNews> {
        match piece {
            Piece::Begin(text) => self.pieces = Some((text, Vec::new())),
            Piece::Choice(label) => {
                let (_, choices) = self.pieces.as_mut()?;
                if choices.len() < CHOICES {
                    choices.push(label);
                }
            }
            Piece::Show => {
                let (text, choices) = self.pieces.take()?;
                self.asked += 1;
                let prompt = Prompt { number: self.asked, text, choices };
                self.open = Some(prompt.clone());
                return Some(PromptNews::Opened(prompt));
            }
            Piece::End => {
                self.pieces = None;
                return self.close().map(PromptNews::Withdrawn);
            }
        }
        None
    }

    /// The question was answered, or nobody is there any more who asked it; gives its number.
    pub fn close(&mut self) -> Option<u64> {
        self.open.take().map(|prompt| prompt.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(prompts: &mut Prompts, text: &str) -> Option<PromptNews> {
        match Action::parse(text) {
            Action::Prompt(piece) => prompts.handle_piece(piece),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_runout_is_told_from_other_holds() {
        let runout = |text: &str| match Action::parse(text) {
            Action::Pause(hold) => hold.runout().map(str::to_owned),
            other => panic!("{other:?}"),
        };
        assert_eq!(runout("out_of_filament T0").as_deref(), Some("T0"));
        assert_eq!(runout("paused filament_runout 0").as_deref(), Some("filament_runout 0"));
        assert_eq!((runout("pause"), runout("paused")), (None, None));
    }

    #[test]
    fn every_word_is_understood_with_and_without_a_reason() {
        for (text, action) in [
            ("pause", Action::Pause(Hold::Asked(String::new()))),
            ("paused filament_runout 0", Action::Pause(Hold::Already("filament_runout 0".into()))),
            ("out_of_filament T1", Action::Pause(Hold::OutOfFilament("T1".into()))),
            ("resume", Action::Resume),
            (" resumed ", Action::Resume),
            ("Cancel", Action::Cancel),
            ("poweroff", Action::PowerOff),
            ("kill", Action::PowerOff),
            ("shutdown", Action::PowerOff),
            ("disconnect", Action::Disconnect),
            ("ready", Action::Ready(true)),
            ("not_ready", Action::Ready(false)),
            ("notification Nozzle \x07clean", Action::Note("Nozzle  clean".into())),
            ("notification:Time 0:05", Action::Note("Time 0:05".into())),
            ("start", Action::Other("start".into())),
            ("uvlo_recovery_ready", Action::Other("uvlo_recovery_ready".into())),
            ("pausing", Action::Other("pausing".into())),
        ] {
            assert_eq!(Action::parse(text), action, "{text}");
        }
    }

    #[test]
    fn a_question_opens_when_it_is_shown_and_closes_when_it_ends() {
        let mut prompts = Prompts::default();
        assert_eq!(say(&mut prompts, "prompt_begin FilamentRunout T0"), None);
        assert_eq!(say(&mut prompts, "prompt_button Purge More"), None);
        assert_eq!(say(&mut prompts, "prompt_choice Continue"), None);
        assert_eq!(prompts.open(), None);
        let prompt = Prompt {
            number: 1,
            text: "FilamentRunout T0".into(),
            choices: vec!["Purge More".into(), "Continue".into()],
        };
        assert_eq!(say(&mut prompts, "prompt_show"), Some(PromptNews::Opened(prompt.clone())));
        assert!(prompt.offers(1) && !prompt.offers(2));
        assert_eq!(prompts.open(), Some(&prompt));
        assert_eq!(say(&mut prompts, "prompt_end"), Some(PromptNews::Withdrawn(1)));
        assert_eq!(say(&mut prompts, "prompt_end"), None);
    }

    #[test]
    fn a_question_without_choices_takes_a_sign_and_the_next_has_another_number() {
        let mut prompts = Prompts::default();
        say(&mut prompts, "prompt_begin M0 Stop");
        let Some(PromptNews::Opened(first)) = say(&mut prompts, "prompt_show") else { panic!("not open") };
        assert!(first.offers(0) && !first.offers(1));
        assert_eq!(prompts.close(), Some(1));
        say(&mut prompts, "prompt_begin Next");
        let Some(PromptNews::Opened(second)) = say(&mut prompts, "prompt_show") else { panic!("not open") };
        assert_eq!(second.number, 2);
    }

    #[test]
    fn pieces_out_of_place_open_nothing_and_a_flood_stays_bounded() {
        let mut prompts = Prompts::default();
        for text in ["prompt_show", "prompt_button Yes", "prompt_end", "prompt_show"] {
            assert_eq!(say(&mut prompts, text), None);
        }
        say(&mut prompts, &format!("prompt_begin {}", "é".repeat(500)));
        for n in 0..1_000 {
            say(&mut prompts, &format!("prompt_button {n}"));
        }
        let Some(PromptNews::Opened(prompt)) = say(&mut prompts, "prompt_show") else { panic!("not open") };
        assert_eq!((prompt.text.chars().count(), prompt.choices.len()), (TEXT_CHARS, CHOICES));
    }
}

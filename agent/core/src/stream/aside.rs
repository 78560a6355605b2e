//! What people say to a printer besides the job: single commands, and answers to its prompts.

use crate::Moment;

use super::event::Event;
use super::history::{Pace, Source};
use super::state::{Mend, Phase, Turn};
use super::{Streamer, TurnError};

/// Commands of a person that may wait.
const ASIDES_MAX: usize = 16;

/// Whether the firmware has said that it waits for a person: it may then be silent for hours.
#[derive(Debug, Default)]
pub(super) struct Awaited(bool);

impl Awaited {
    /// A host action (Marlin `host_actions.cpp`).
    fn hear(&mut self, action: &str) {
        match action.split(' ').next().unwrap_or_default() {
            "pause" | "paused" | "out_of_filament" | "prompt_begin" | "prompt_show" => self.0 = true,
            "resume" | "resumed" | "cancel" => self.0 = false,
            _ => {}
        }
    }

    /// A line was acknowledged: it works again.
    pub(super) fn answered(&mut self) {
        self.0 = false;
    }

    pub(super) fn is_person(&self) -> bool {
        self.0
    }

    /// What another process knew.
    pub(super) fn restore(&mut self, is_person: bool) {
        self.0 = is_person;
    }
}

impl Streamer {
    /// Sends one command of a person ahead of the job's next line, numbered and mended like any other; [`Event::Aside`]
    /// tells when it was acknowledged.
    ///
    /// # Errors
    /// Too many wait, lines are in doubt, or the conversation has ended.
    pub fn send_aside(&mut self, command: &[u8]) -> Result<(), TurnError> {
        self.send_asides(&[command])
    }

    /// Sends several, one behind the other with no line of a job in between, or none of them.
    ///
    /// # Errors
    /// Too many wait, lines are in doubt, or the conversation has ended.
    pub fn send_asides(&mut self, commands: &[&[u8]]) -> Result<(), TurnError> {
        let framing = &self.options.framing;
        let longest = commands.iter().map(|command| command.len()).max().unwrap_or(0);
        match self.phase {
            Phase::Stopped(_) => Err(TurnError::Stopped),
            Phase::Streaming(Mend::InDoubt) => Err(TurnError::InDoubt),
            _ if self.asides.len() + commands.len() > ASIDES_MAX || matches!(self.turn, Turn::Ending(_)) => {
                Err(TurnError::Busy)
            }
            _ if framing.framed_len(self.options.max_line_number, longest) > framing.max_line_bytes => {
                Err(TurnError::TooLong)
            }
            _ => {
                self.asides.extend(commands.iter().map(|command| command.to_vec()));
                Ok(())
            }
        }
    }

    /// Takes back commands of which none has gone out yet; whether it could.
    pub fn withdraw_asides(&mut self, commands: &[&[u8]]) -> bool {
        let waiting = self.asides.make_contiguous();
        let are_these = |some: &[Vec<u8>]| some.iter().eq(commands);
        let found =
            (!commands.is_empty()).then(|| waiting.windows(commands.len()).rposition(are_these)).flatten();
        let Some(at) = found else { return false };
        self.asides.drain(at..at + commands.len());
        true
    }

    /// Answers the prompt that the firmware shows, with the number of a button. It goes ahead of everything that waits: the
    /// firmware takes it out of the stream as it arrives (Marlin `e_parser.h`).
    ///
    /// # Errors
    /// This firmware has no prompts, or the conversation has ended.
    pub fn answer_prompt(&mut self, now: Moment, choice: u32) -> Result<(), TurnError> {
        if self.stopped().is_some() {
            return Err(TurnError::Stopped);
        }
        let reply = self.options.prompt_reply.as_deref().ok_or(TurnError::NoPrompts)?;
        let command = reply.replace("{choice}", &choice.to_string()).into_bytes();
        let in_order = matches!(self.phase, Phase::Streaming(Mend::Flowing)) && !self.window.has_replay();
        if self.options.framing.numbered && in_order && !self.resync {
            // Behind a command that blocks it blocks as well: nothing else is to follow.
            self.push_line_at(&command, Source::Script, self.pace());
            self.send_line(now);
        } else {
            // Its `ok` is one too many, which the next proof puts right.
            self.out.extend_from_slice(&self.options.framing.prefix);
            self.out.extend_from_slice(&command);
            self.out.push(b'\n');
        }
        Ok(())
    }

    pub(super) fn hear_action(&mut self, text: String) {
        self.awaited.hear(&text);
        self.emit(Event::Action(text));
    }

    /// Frames a waiting command of a person; gives whether there was one.
    pub(super) fn pull_aside(&mut self) -> bool {
        let Some(command) = self.asides.pop_front() else { return false };
        self.push_line(&command, Source::Aside);
        self.asides_out.push_back(command);
        true
    }

    pub(super) fn note_aside(&mut self) {
        if let Some(command) = self.asides_out.pop_front() {
            self.emit(Event::Aside(String::from_utf8_lossy(&command).into_owned()));
        }
    }

    /// How long the oldest line on its way may stay without an answer.
    pub(super) fn pace(&self) -> Pace {
        match self.window.oldest() {
            Some(_) if self.awaited.is_person() => Pace::Person,
            Some(line) => line.pace,
            None => Pace::Quick,
        }
    }
}

//! What the firmware asks of its host: to hold a job, to go on, to give it up, and to have a person answer a question.

use std::sync::Arc;

use spoolway_agent_core::Moment;
use spoolway_agent_core::prompt::{Action, Hold, PromptNews};
use spoolway_protocol::prompt::PromptEnd;
use tracing::{debug, info, warn};

use super::conversation::Conversation;
use super::task::Bench;
use super::{Cause, ClosedPrompt};

impl Conversation<'_> {
    pub(super) fn take_action(&mut self, now: Moment, text: &str) {
        match Action::parse(text) {
            Action::Pause(hold) => {
                info!(action = text, "the printer wants the job held");
                if let Some(words) = hold.runout() {
                    self.bench.publish.send_modify(|snapshot| snapshot.run_out(words));
                }
                self.pause(Some(Cause::Printer(words_of(&hold))));
            }
            Action::Resume => self.resume_for_printer(now),
            Action::Cancel => {
                info!("the printer wants the job given up");
                self.cancel(Some(Cause::Printer("the job was cancelled at the printer".to_owned())));
            }
            Action::PowerOff => warn!(action = text, "the printer says that it goes off"),
            Action::Disconnect => info!("the printer asks to be left alone; the agent keeps its port"),
            Action::Ready(ready) => {
                self.bench.publish.send_modify(|snapshot| snapshot.be_ready(ready));
            }
            Action::Note(note) => {
                debug!(note, "the printer says");
                self.bench.publish.send_modify(|snapshot| snapshot.note = Some(note));
            }
            Action::Prompt(piece) => {
                if let Some(news) = self.bench.prompts.handle_piece(piece) {
                    self.bench.tell_prompt(news);
                }
            }
            Action::Other(word) => debug!(word, "a host action that means nothing here"),
        }
    }

    /// The printer takes up only what it has held itself: a job that a person holds stays held.
    fn resume_for_printer(&mut self, now: Moment) {
        let held_by_printer =
            self.run.as_ref().is_some_and(|run| matches!(run.cause, Some(Cause::Printer(_))));
        if held_by_printer {
            info!("the printer wants the job to go on");
            self.resume(now, None);
        }
    }

    /// Gives an answer to the firmware, if the question is still the one that was answered.
    pub(super) fn answer_prompt(&mut self, now: Moment, number: u64, choice: u32) {
        let open = self.bench.prompts.open();
        if !open.is_some_and(|prompt| prompt.number == number && prompt.offers(choice)) {
            return debug!(number, choice, "the question is no longer open");
        }
        match self.streamer.answer_prompt(now, choice) {
            Ok(()) => self.bench.end_prompt(PromptEnd::Answered, Some(choice)),
            Err(error) => warn!(%error, choice, "the question could not be answered"),
        }
    }
}

impl Bench {
    fn tell_prompt(&mut self, news: PromptNews) {
        match news {
            PromptNews::Opened(prompt) => {
                info!(text = prompt.text, choices = ?prompt.choices, "the printer asks");
                let prompt = Arc::new(prompt);
                self.publish.send_modify(|snapshot| snapshot.prompt = Some(prompt));
            }
            PromptNews::Withdrawn(number) => self.close_prompt(number, PromptEnd::Withdrawn, None),
        }
    }

    /// The question that is open is so no longer.
    pub(super) fn end_prompt(&mut self, cause: PromptEnd, choice: Option<u32>) {
        if let Some(number) = self.prompts.close() {
            self.close_prompt(number, cause, choice);
        }
    }

    fn close_prompt(&mut self, number: u64, cause: PromptEnd, choice: Option<u32>) {
        self.publish.send_modify(|snapshot| {
            snapshot.prompt = None;
            snapshot.prompt_closed = Some(ClosedPrompt { number, cause, choice });
        });
    }
}

fn words_of(hold: &Hold) -> String {
    let (text, why) = match hold {
        Hold::Asked(why) => ("the printer asked for a pause", why),
        Hold::Already(why) => ("the printer has paused", why),
        Hold::OutOfFilament(why) => ("the printer is out of filament", why),
    };
    if why.is_empty() { text.to_owned() } else { format!("{text} ({why})") }
}

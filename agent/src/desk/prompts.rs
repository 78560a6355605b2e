//! Questions of the firmware: told as events, and answered once.

use spoolway_protocol::event::EventData;
use spoolway_protocol::prompt::{PromptClosed, PromptEnd, PromptOpened};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, PromptId};
use tracing::info;
use uuid::Uuid;

use super::clerk::Clerk;
use super::events::event;
use crate::printer::{Order, Snapshot};
use crate::view::{PromptView, Refusal};

impl Clerk {
    /// Tells of a question that was opened or closed since the last look.
    pub(super) async fn tell_prompt(&mut self, snapshot: &Snapshot) {
        let now = snapshot.prompt.as_ref().map(|prompt| prompt.number);
        if now == self.prompt.as_ref().map(|(number, _)| *number) {
            return;
        }
        let mut told = Vec::new();
        if let Some((number, prompt_id)) = self.prompt.take() {
            let closed = snapshot.prompt_closed.as_ref().filter(|closed| closed.number == number);
            told.push(EventData::PromptClosed(PromptClosed {
                prompt_id,
                cause: closed.map_or(PromptEnd::Replaced, |closed| closed.cause.clone()),
                choice: closed.and_then(|closed| closed.choice),
                extra: Extra::default(),
            }));
        }
        if let Some(prompt) = &snapshot.prompt {
            let prompt_id = PromptId::new(Uuid::now_v7().to_string()).expect("a UUID is a name");
            self.prompt = Some((prompt.number, prompt_id.clone()));
            told.push(EventData::PromptOpened(PromptOpened {
                prompt_id,
                text: prompt.text.clone(),
                choices: prompt.choices.clone(),
                extra: Extra::default(),
            }));
        }
        let stamp = self.clock.stamp();
        let job = self.following.as_ref().map(|following| following.job_id.clone());
        let attempt = job.as_ref().map(|id| self.book.entries[id].job.attempt()).unwrap_or_default();
        let about = job.as_ref().map(|id| (id, attempt));
        let writes = told.iter().map(|data| event(data, about, &stamp)).collect();
        drop(self.promise(writes).await);
    }

    /// Gives the answer to the printer; the question is closed as soon as it is written.
    pub(super) async fn answer_prompt(&self, wanted: Option<&PromptId>, choice: u32) -> Result<(), Refusal> {
        let refused = |text: String| Refusal::new(Fault::PromptClosed, text);
        let snapshot = self.snapshot.borrow().clone();
        let told = self.prompt.as_ref();
        let open =
            snapshot.prompt.as_ref().zip(told).filter(|(prompt, (number, _))| prompt.number == *number);
        let Some((prompt, (number, prompt_id))) = open else {
            return Err(refused("the printer asks nothing".to_owned()));
        };
        if wanted.is_some_and(|wanted| wanted != prompt_id) {
            return Err(refused("that question is no longer open; the printer asks another one".to_owned()));
        }
        if !prompt.offers(choice) {
            let text = format!(
                "the question {:?} has {} answers, and {choice} is none of them",
                prompt.text,
                prompt.choices.len()
            );
            return Err(Refusal::new(Fault::CommandBadArgs, text));
        }
        let profile = snapshot.known.as_ref().map(|known| &known.profile);
        if profile.is_none_or(|profile| profile.emergency.prompt_reply.is_none()) {
            return Err(refused("this firmware takes an answer only at its own display".to_owned()));
        }
        info!(text = prompt.text, choice, "the question is answered");
        let order = Order::AnswerPrompt { number: *number, choice };
        self.orders
            .send(order)
            .await
            .map_err(|_| Refusal::new(Fault::PortLost, "the printer thread has ended"))
    }

    /// The open question as people see it.
    pub(super) fn prompt_view(&self, snapshot: &Snapshot) -> Option<PromptView> {
        let prompt = snapshot.prompt.as_ref()?;
        let (_, prompt_id) = self.prompt.as_ref().filter(|(number, _)| *number == prompt.number)?;
        Some(PromptView {
            prompt_id: prompt_id.clone(),
            text: prompt.text.clone(),
            choices: prompt.choices.clone(),
        })
    }
}

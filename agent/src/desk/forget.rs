//! Lets the desk end for good: nothing more is begun, and what lies on the disk is removed once nobody has it open.

use spoolway_protocol::Fault;
use tracing::info;

use super::clerk::Clerk;
use super::{ForgetAnswer, stopping};
use crate::view::Refusal;

impl Clerk {
    /// Ends the desk, unless something is in hand.
    pub(super) fn begin_forget(&mut self, answer: ForgetAnswer) {
        match self.in_hand() {
            Some(refusal) => drop(answer.send(Err(refusal))),
            None => {
                info!("everything is to be forgotten");
                (self.stopping, self.forget) = (true, Some(answer));
            }
        }
    }

    /// What has to end first.
    pub(super) fn in_hand(&self) -> Option<Refusal> {
        let busy = |text| Some(Refusal::new(Fault::ForgetBusy, text));
        if self.stopping {
            return Some(stopping());
        }
        if let Some(entry) = self.book.active() {
            let (id, name, state) = (entry.job.id(), &entry.offer.file.name, entry.job.state());
            return busy(format!("job {id} ({name}) is {state}"));
        }
        if let Some(following) = &self.following {
            return busy(format!("the end of job {} is being written down", following.job_id));
        }
        if self.imports > 0 {
            return busy("a file is being taken in".to_owned());
        }
        None
    }
}

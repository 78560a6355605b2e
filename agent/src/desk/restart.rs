//! The owner wants the agent to begin anew: it ends with a failure on purpose, so that its service manager starts it again. A
//! print that outlives the process goes on; any other is not broken off for this.

use spoolway_protocol::Fault;
use spoolway_protocol::command::Actor;
use tracing::warn;

use super::clerk::Clerk;
use super::hand::check_role;
use crate::service;
use crate::view::Refusal;

impl Clerk {
    /// Ends the desk once the command's result is written down.
    pub(super) async fn begin_restart(&mut self, actor: &Actor) -> Result<(), Refusal> {
        check_role(actor, true)?;
        if !service::starts_again().await {
            let text = "no service manager that starts the agent again looks after it";
            return Err(Refusal::new(Fault::AgentUnmanaged, text));
        }
        if let Some(following) = self.following.as_ref().filter(|_| !self.would_go_on()) {
            let text = format!("job {} would not outlive a restart; wait for its end", following.job_id);
            return Err(Refusal::new(Fault::Busy, text));
        }
        warn!(role = actor.role, "the owner wants the agent to begin anew");
        self.restart = true;
        Ok(())
    }

    /// Whether it is time to end for a restart.
    pub(super) fn may_restart(&self) -> bool {
        self.restart && !self.stopping && self.would_go_on()
    }

    /// Whether nothing is printed, or the next process goes on with it.
    fn would_go_on(&self) -> bool {
        self.following.is_none() || self.snapshot.borrow().outlives
    }
}

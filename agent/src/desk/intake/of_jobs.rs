//! Which job a command is about, so that the log says so from its receipt to its end.

use std::collections::VecDeque;

use serde::Deserialize;
use spoolway_protocol::command::Command;
use spoolway_protocol::{CmdId, JobId};

/// Commands that are remembered: more are never open at a time, and the log alone goes by it.
const REMEMBERED: usize = 64;

/// The jobs of commands that have not ended.
#[derive(Debug, Default)]
pub(super) struct CommandJobs(VecDeque<(CmdId, JobId)>);

/// Every kind that is about a job says so with the same word.
#[derive(Deserialize)]
struct About {
    job_id: JobId,
}

impl CommandJobs {
    /// The job of a command that has come.
    pub(super) fn learn(&mut self, command: &Command) -> Option<String> {
        let About { job_id } = serde_json::from_str(command.args.get()).ok()?;
        let text = job_id.to_string();
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front((command.cmd_id, job_id));
        Some(text)
    }

    /// The job of a command that ends.
    pub(super) fn forget(&mut self, ended: CmdId) -> Option<String> {
        let at = self.0.iter().position(|(cmd_id, _)| *cmd_id == ended)?;
        self.0.remove(at).map(|(_, job_id)| job_id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(n: u64, args: &str) -> Command {
        let text = format!(
            "{{\"cmd_id\":\"01934b7e-7b1a-7cc0-8000-{n:012}\",\"seq\":{n},\"kind\":\"job.cancel\",\"args\":{args},\"actor\":{{\"id\":\"u\",\"role\":\"r\"}}}}"
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_command_is_about_its_job_until_it_ends() {
        let mut jobs = CommandJobs::default();
        let (first, none) = (command(1, "{\"job_id\":\"j-1\",\"x\":2}"), command(2, "{}"));
        assert_eq!(jobs.learn(&first).as_deref(), Some("j-1"));
        assert_eq!(jobs.learn(&none), None);
        assert_eq!(jobs.forget(none.cmd_id), None);
        assert_eq!(jobs.forget(first.cmd_id).as_deref(), Some("j-1"));
        assert_eq!(jobs.forget(first.cmd_id), None);
        for n in 1..200 {
            jobs.learn(&command(n, "{\"job_id\":\"j-1\"}"));
        }
        assert_eq!(jobs.0.len(), REMEMBERED);
    }
}

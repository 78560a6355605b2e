//! What becomes of a command on its arrival, before anything is stored: accepted, or refused and why.

use spoolway_protocol::command::{Command, CommandArgs, CommandStatus};
use spoolway_protocol::event::CmdResult;
use spoolway_protocol::fault::Fault;
use spoolway_protocol::ids::CmdId;
use spoolway_protocol::raw::Extra;

/// The judgement of one command.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It takes its place in the queue.
    Accept(CommandArgs),
    /// It ends here.
    Refuse(CmdResult),
}

/// Judges a command that is `age_ms` old.
#[must_use]
pub fn judge(command: &Command, ttl_ms: Option<u64>, age_ms: u64) -> Verdict {
    if let Some(name) = command.not_understood() {
        let detail = format!("the command must not be carried out without {name:?}, which is not known here");
        return refuse(command, CommandStatus::Rejected, Fault::CommandUnknown, detail);
    }
    if let Some(name) = command.precondition.as_ref().and_then(|condition| condition.extra.0.keys().next()) {
        let detail = format!("the condition {name:?} is not known here");
        return refuse(command, CommandStatus::Rejected, Fault::PreconditionFailed, detail);
    }
    match command.decode() {
        Err(error) => refuse(command, CommandStatus::Rejected, Fault::CommandBadArgs, error.to_string()),
        Ok(CommandArgs::Unknown { kind, .. }) => {
            let detail = format!("{kind:?} is not known here");
            refuse(command, CommandStatus::Rejected, Fault::CommandUnknown, detail)
        }
        Ok(_) if is_expired(ttl_ms, age_ms) => Verdict::Refuse(expired(command.cmd_id, ttl_ms, age_ms)),
        Ok(args) => Verdict::Accept(args),
    }
}

/// The judgement of a command whose signature is missing or wrong.
#[must_use]
pub fn unsigned(command: &Command, fault: Fault) -> Verdict {
    refuse(command, CommandStatus::Rejected, fault, fault.summary().to_owned())
}

/// Whether the TTL has run out.
#[must_use]
pub fn is_expired(ttl_ms: Option<u64>, age_ms: u64) -> bool {
    ttl_ms.is_some_and(|ttl| age_ms > ttl)
}

/// The result of a command whose TTL has run out.
#[must_use]
pub fn expired(cmd_id: CmdId, ttl_ms: Option<u64>, age_ms: u64) -> CmdResult {
    let detail = format!("{age_ms} ms old, its limit was {} ms", ttl_ms.unwrap_or(0));
    result(cmd_id, CommandStatus::Expired, Some(Fault::CommandExpired), Some(detail))
}

/// A result.
#[must_use]
pub fn result(
    cmd_id: CmdId,
    status: CommandStatus,
    fault: Option<Fault>,
    detail: Option<String>,
) -> CmdResult {
    CmdResult { cmd_id, status, code: fault.map(Into::into), detail, data: None, extra: Extra::default() }
}

fn refuse(command: &Command, status: CommandStatus, fault: Fault, detail: String) -> Verdict {
    Verdict::Refuse(result(command.cmd_id, status, Some(fault), Some(detail)))
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::command::{Actor, Precondition};
    use spoolway_protocol::ids::Seq;
    use spoolway_protocol::raw::Raw;

    use super::*;

    fn command(kind: &str, args: &str) -> Command {
        Command {
            cmd_id: CmdId::from_parts(1, &[0; 10]),
            seq: Seq(1),
            printer_id: None,
            kind: kind.to_owned(),
            args: Raw::parse(args.to_owned()).unwrap(),
            actor: Actor {
                id: "u".to_owned(),
                role: "r".to_owned(),
                decision: None,
                extra: Extra::default(),
            },
            must: Vec::new(),
            precondition: None,
            extra: Extra::default(),
            sig: None,
        }
    }

    fn refusal(command: &Command, ttl_ms: Option<u64>, age_ms: u64) -> (CommandStatus, Fault) {
        match judge(command, ttl_ms, age_ms) {
            Verdict::Refuse(result) => (result.status, result.code.unwrap().fault().unwrap()),
            Verdict::Accept(args) => panic!("{args:?}"),
        }
    }

    #[test]
    fn a_known_command_in_time_is_accepted() {
        let command = command("job.cancel", r#"{"job_id":"j"}"#);
        assert!(matches!(judge(&command, Some(10), 10), Verdict::Accept(CommandArgs::JobCancel(_))));
        assert_eq!(refusal(&command, Some(10), 11), (CommandStatus::Expired, Fault::CommandExpired));
        assert!(matches!(judge(&command, None, u64::MAX), Verdict::Accept(_)));
    }

    #[test]
    fn what_is_not_signed_as_it_should_is_rejected() {
        let Verdict::Refuse(result) = unsigned(&command("printer.home", "{}"), Fault::CommandUnsigned) else {
            panic!("accepted")
        };
        assert_eq!(result.status, CommandStatus::Rejected);
        assert_eq!(result.code.unwrap().fault(), Some(Fault::CommandUnsigned));
    }

    #[test]
    fn what_is_not_understood_is_rejected_and_not_guessed() {
        let rejected = |fault| (CommandStatus::Rejected, fault);
        assert_eq!(refusal(&command("camera.dream", "{}"), None, 0), rejected(Fault::CommandUnknown));
        assert_eq!(
            refusal(&command("job.start", r#"{"job_id":"j"}"#), None, 0),
            rejected(Fault::CommandBadArgs)
        );
        let mut must = command("printer.estop", "{}");
        must.must = vec!["if".to_owned(), "moon_phase".to_owned()];
        assert_eq!(refusal(&must, None, 0), rejected(Fault::CommandUnknown));
        let mut condition = command("printer.estop", "{}");
        let unknown: Precondition = serde_json::from_str(r#"{"bed_epoch":1,"moon":2}"#).unwrap();
        condition.precondition = Some(unknown);
        assert_eq!(refusal(&condition, None, 0), rejected(Fault::PreconditionFailed));
    }
}

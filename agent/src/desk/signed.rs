//! Signatures of commands: needed, where starts need permits, for what moves or heats the machine outside of a job, and never wrong.

use spoolway_protocol::Fault;
use spoolway_protocol::command::Command;

use super::clerk::Clerk;
use crate::bus::SignedBody;

impl Clerk {
    /// What is wrong with a command's signature. One that nobody could verify, because no key is known, is not looked at.
    pub(super) fn check_signature(&self, command: &Command, signed: Option<&SignedBody>) -> Option<Fault> {
        let is_needed =
            self.permits.are_required() && command.decode().is_ok_and(|args| args.needs_signature());
        match signed {
            Some(SignedBody { text, sig }) if is_needed || self.permits.knows_a_key() => {
                let bytes = Command::signed_bytes(&self.identity.agent_id(), text);
                (!self.permits.verifies(&bytes, sig)).then_some(Fault::CommandBadSignature)
            }
            // One that is there and cannot be cut out was written anew on the way.
            None if command.sig.is_some() && is_needed => Some(Fault::CommandBadSignature),
            None if is_needed => Some(Fault::CommandUnsigned),
            _ => None,
        }
    }
}

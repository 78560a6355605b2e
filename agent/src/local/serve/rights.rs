//! Who of this machine may have what done: all who reach the socket, but for a few things.

use spoolway_protocol::Fault;

use crate::local::words::UpdateAction;
use crate::view::Refusal;

/// Who may end the agent for good: those who could remove its files themselves.
pub(super) fn may_forget(uid: Option<u32>, own: u32) -> Result<(), Refusal> {
    if owns_files(uid, own) {
        return Ok(());
    }
    Err(Refusal::new(Fault::ForgetDenied, "only root and the agent's own user may have it forget"))
}

/// Who may have the key changed: the same.
pub(super) fn may_rotate(uid: Option<u32>, own: u32) -> Result<(), Refusal> {
    if owns_files(uid, own) {
        return Ok(());
    }
    Err(Refusal::new(Fault::IdentityDenied, "only root and the agent's own user may have the key changed"))
}

/// Who may hold jobs up for an update, and let them go again: nobody but root installs one.
pub(super) fn may_update(action: &UpdateAction, uid: Option<u32>) -> Result<(), Refusal> {
    match action {
        UpdateAction::Show | UpdateAction::Cancel => Ok(()),
        _ if uid == Some(0) => Ok(()),
        _ => Err(Refusal::new(Fault::CommandNotAllowed, "only root installs an update")),
    }
}

fn owns_files(uid: Option<u32>, own: u32) -> bool {
    uid.is_some_and(|uid| uid == 0 || uid == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_own_the_files_may_have_them_forgotten() {
        assert!(may_forget(Some(0), 990).is_ok() && may_forget(Some(990), 990).is_ok());
        for stranger in [Some(1_000), None] {
            assert_eq!(may_forget(stranger, 990).unwrap_err().fault, Fault::ForgetDenied);
            assert_eq!(may_rotate(stranger, 990).unwrap_err().fault, Fault::IdentityDenied);
            assert!(may_update(&UpdateAction::Cancel, stranger).is_ok());
            let let_in = UpdateAction::LetIn {
                id: "0199c7a2-3b1e-7c44-8a11-5e0d9b7c2f61".parse().unwrap(),
                own: true,
            };
            assert!(may_update(&let_in, Some(0)).is_ok());
            assert_eq!(may_update(&let_in, stranger).unwrap_err().fault, Fault::CommandNotAllowed);
        }
    }
}

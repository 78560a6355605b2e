//! Which folders are meant when nobody names one: those of the machine's relay, to whoever may keep it, and else the user's own.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;

use spoolway_relay::paths::Directories;

/// What the package's unit has.
const CONFIGURATION: &str = "/etc/spoolway-relay";
const STATE: &str = "/var/lib/spoolway-relay";

/// Folders that service manager or shell hand over; else those of the machine's relay; else the user's. `None` without a home.
pub(crate) fn usual() -> Option<Directories> {
    let is_keeper = is_keeper(STATE, rustix::process::geteuid().as_raw());
    Directories::find(|name| std::env::var_os(name).or_else(|| of_the_machine(name).filter(|_| is_keeper)))
}

/// Root, and the user to whom the state of the machine's relay belongs, if there is one.
fn is_keeper(state: &str, user: u32) -> bool {
    std::fs::metadata(state).is_ok_and(|state| user == 0 || user == state.uid())
}

fn of_the_machine(variable: &str) -> Option<OsString> {
    match variable {
        "CONFIGURATION_DIRECTORY" => Some(CONFIGURATION.into()),
        "STATE_DIRECTORY" => Some(STATE.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_keeps_the_machines_relay_means_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, owner) = (folder.path().to_str().unwrap(), folder.path().metadata().unwrap().uid());
        assert!(is_keeper(path, owner) && is_keeper(path, 0));
        assert!(!is_keeper(path, owner + 1));
        assert!(!is_keeper("/nowhere/at/all", 0));
    }

    #[test]
    fn both_folders_are_those_of_the_unit() {
        let found = Directories::find(of_the_machine).unwrap();
        assert_eq!(found.tls().to_str(), Some("/etc/spoolway-relay/tls"));
        assert_eq!(found.admin_socket().to_str(), Some("/var/lib/spoolway-relay/admin.sock"));
    }
}

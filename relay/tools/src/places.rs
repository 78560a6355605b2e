//! Which folders are meant when nobody names one: those of the machine's relay, to whoever may keep it, and else the user's own.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;

use spoolway_relay::paths::Directories;

/// What the package's unit has.
const CONFIGURATION: &str = "/etc/spoolway-relay";
const STATE: &str = "/var/lib/spoolway-relay";

/// What says where a relay is as much as a flag does.
const SAID: [&str; 3] = ["CONFIGURATION_DIRECTORY", "STATE_DIRECTORY", "SPOOLWAY_RELAY_REGISTRY_FILE"];

/// Why no folder can be meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPlaceError {
    /// The user has none.
    #[error("no home directory; name a folder with --folder")]
    Homeless,
    /// Whoever asks may mean the relay of the machine, and would be given one of their own that nobody dials.
    #[error(
        "this machine's relay keeps its files in {0}, and they are another user's: say it as that user, \
        `sudo -u spoolway-relay spoolway-relay ...` (`certs init` as root, `sudo spoolway-relay certs init ...`); \
        for a relay of your own name its folder with --folder"
    )]
    NotYours(String),
}

/// Folders that service manager or shell hand over; else those of the machine's relay; else, where there is none, or a flag `is_said` to name
/// another, the user's.
pub(crate) fn usual(is_said: bool) -> Result<Directories, NoPlaceError> {
    find(STATE, rustix::process::geteuid().as_raw(), is_said, |name| std::env::var_os(name))
}

fn find(
    state: &str,
    user: u32,
    is_said: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Directories, NoPlaceError> {
    let owner = std::fs::metadata(state).ok().map(|state| state.uid());
    // Root, and the user to whom the state of the machine's relay belongs.
    let is_keeper = owner.is_some_and(|owner| user == 0 || user == owner);
    let is_said = is_said || SAID.iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()));
    if owner.is_some() && !is_keeper && !is_said {
        return Err(NoPlaceError::NotYours(state.to_owned()));
    }
    let machine = |name: &str| of_the_machine(name).filter(|_| is_keeper);
    Directories::find(|name| variable(name).or_else(|| machine(name))).ok_or(NoPlaceError::Homeless)
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
    fn who_keeps_the_machines_relay_means_it_and_nobody_else_gets_one_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let (path, owner) = (folder.path().to_str().unwrap(), folder.path().metadata().unwrap().uid());
        let state = |found: Result<Directories, NoPlaceError>| found.unwrap().state;
        for keeper in [owner, 0] {
            assert_eq!(state(find(path, keeper, false, |_| None)).to_str(), Some(STATE));
        }
        let stranger = owner + 1;
        let error = find(path, stranger, false, |_| None).unwrap_err().to_string();
        for part in [path, "`sudo -u spoolway-relay spoolway-relay ...`", "--folder"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let handed = |name: &str| name.ends_with("_DIRECTORY").then(|| "/srv/relay".into());
        assert_eq!(state(find(path, stranger, false, handed)).to_str(), Some("/srv/relay"));
        assert!(find(path, stranger, false, |_| Some(OsString::new())).is_err(), "an empty one says nothing");
        // Their own, which a machine without a home has not.
        for found in [find(path, stranger, true, |_| None), find("/nowhere/at/all", 0, false, |_| None)] {
            assert!(!matches!(found, Err(NoPlaceError::NotYours(_))), "{found:?}");
            assert!(found.is_err() || found.unwrap().state.to_str() != Some(STATE));
        }
    }

    #[test]
    fn both_folders_are_those_of_the_unit() {
        let found = Directories::find(of_the_machine).unwrap();
        assert_eq!(found.tls().to_str(), Some("/etc/spoolway-relay/tls"));
        assert_eq!(found.admin_socket().to_str(), Some("/var/lib/spoolway-relay/admin.sock"));
    }
}

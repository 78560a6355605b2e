//! What an agent keeps of its log in files of its own, where no journal keeps it.

use std::io::ErrorKind;

use crate::cli::{Exit, Failure, Whereabouts};
use crate::telemetry::{FOLDER, LogLine, kept as kept_in};

/// Every line that is kept, the oldest first.
///
/// # Errors
/// There are no files, or this user may not read them.
pub(in crate::cli) fn kept(
    whereabouts: &Whereabouts,
) -> Result<impl Iterator<Item = LogLine> + use<>, Failure> {
    let state_dir = whereabouts.load_of_agent()?.0.config.state_dir;
    let folder = state_dir.join(FOLDER);
    let folder = folder.display();
    match kept_in(&state_dir) {
        Ok(Some(lines)) => Ok(lines),
        Ok(None) => Err(Failure::new(
            Exit::Runtime,
            format!("{folder}: no log is kept there"),
            None,
            "Under systemd the journal has it: `spoolway-agent logs --journal`. With log.files = \"always\" in the configuration the \
             agent keeps files as well.",
        )),
        Err(error) => {
            let help = match error.kind() {
                ErrorKind::PermissionDenied => "Use sudo: they belong to the user of the agent.",
                _ => "Look whether the disk is well: `spoolway-agent doctor`.",
            };
            Err(Failure::new(Exit::Runtime, format!("{folder}: it cannot be read: {error}"), None, help))
        }
    }
}

/// Whether an agent has kept any here, as far as this user can see.
pub(in crate::cli) fn are_there(whereabouts: &Whereabouts) -> bool {
    whereabouts.load_of_agent().is_ok_and(|(loaded, _)| loaded.config.state_dir.join(FOLDER).is_dir())
}

/// What to type for the lines that the running agent does not remember.
pub(super) fn command(whereabouts: &Whereabouts) -> &'static str {
    if are_there(whereabouts) { "spoolway-agent logs --files" } else { "spoolway-agent logs --journal" }
}

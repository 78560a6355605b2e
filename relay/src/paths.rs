//! Where files live: what systemd hands over, or the user's own directories.

use std::ffi::OsString;
use std::path::PathBuf;

/// The two directories of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// Configuration and certificates.
    pub configuration: PathBuf,
    /// The registry.
    pub state: PathBuf,
}

impl Directories {
    /// `CONFIGURATION_DIRECTORY` and `STATE_DIRECTORY` (systemd.exec), else the XDG directories;
    /// `None` when neither systemd nor a home directory says where.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let user = directories::ProjectDirs::from("", "", "spoolway-relay");
        let given = |name: &str| variable(name).filter(|value| !value.is_empty()).map(first_path);
        let configuration = given("CONFIGURATION_DIRECTORY")
            .or_else(|| user.as_ref().map(|user| user.config_dir().to_owned()))?;
        let state = given("STATE_DIRECTORY").or_else(|| {
            user.as_ref().map(|user| user.state_dir().unwrap_or_else(|| user.data_local_dir()).to_owned())
        })?;
        Some(Self { configuration, state })
    }

    /// Both directories are the same one, for a relay that lives in a single folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        let configuration = folder.into();
        Self { state: configuration.clone(), configuration }
    }

    /// Certificates and keys.
    pub fn tls(&self) -> PathBuf {
        self.configuration.join("tls")
    }

    /// The socket at which a relay that runs can be asked.
    pub fn admin_socket(&self) -> PathBuf {
        self.state.join("admin.sock")
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.configuration.join("relay.toml")
    }
}

/// systemd separates several directories by colons; the first is ours.
fn first_path(value: OsString) -> PathBuf {
    std::env::split_paths(&value).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_wins_and_its_first_directory_is_taken() {
        let found = Directories::find(|name| match name {
            "CONFIGURATION_DIRECTORY" => Some("/etc/a:/etc/b".into()),
            "STATE_DIRECTORY" => Some("/var/lib/a".into()),
            _ => None,
        });
        let expected = Directories { configuration: "/etc/a".into(), state: "/var/lib/a".into() };
        assert_eq!(found, Some(expected));
    }
}

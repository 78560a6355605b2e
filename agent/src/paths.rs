//! Where files live: what systemd hands over, the system's folders for root, or the user's own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the socket of the system's own agent is, for people who are not that agent's user.
pub const SYSTEM_SOCKET: &str = "/run/spoolway/agent.sock";
/// Where the configuration of the system's own agent is.
pub const SYSTEM_CONFIG: &str = "/etc/spoolway/agent.toml";

/// The name of one of several agents of the system, as it stands behind the `@` of its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(String);

/// Why a word is no name of an instance.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no unit: 1 to 32 of the letters a-z, A-Z, 0-9, `_` and `.`, as in spoolway-agent@left")]
pub struct InstanceError(String);

impl FromStr for Instance {
    type Err = InstanceError;

    /// A `-` is let be: in the name of a unit it stands for a slash (systemd.unit(5)).
    fn from_str(word: &str) -> Result<Self, InstanceError> {
        let is_lawful = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
        let is_name = (1..=32).contains(&word.len()) && word.bytes().all(is_lawful) && !word.starts_with('.');
        if is_name { Ok(Self(word.to_owned())) } else { Err(InstanceError(word.to_owned())) }
    }
}

/// The unit of the system's agent, or of one of several.
#[must_use]
pub fn unit(instance: Option<&Instance>) -> String {
    instance.map_or_else(
        || "spoolway-agent.service".to_owned(),
        |Instance(name)| format!("spoolway-agent@{name}.service"),
    )
}

impl Instance {
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a person is told to type, so that it names this agent: every text says it for the first one of a machine.
    #[must_use]
    pub fn typed(&self, text: &str) -> String {
        let Self(name) = self;
        let mut text = text.to_owned();
        for before in ["`", "`sudo ", "Run it:  ", "Give up: "] {
            // A line may have been broken behind it.
            for behind in [' ', '\n'] {
                let program = format!("{before}spoolway-agent");
                text = text
                    .replace(&format!("{program}{behind}"), &format!("{program} --instance {name}{behind}"));
            }
        }
        for before in ["start ", "status ", "-u "] {
            let unit = format!("{before}spoolway-agent");
            text = text.replace(&unit, &format!("{unit}@{name}"));
        }
        // What named it already names it once.
        let twice = [format!(" --instance {name}"), format!("@{name}")].map(|once| (once.repeat(2), once));
        twice.iter().fold(text, |text, (twice, once)| text.replace(twice, once))
    }
}

/// The three folders of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Configuration file and overlay profiles.
    pub config: PathBuf,
    /// What has to outlive a power cut.
    pub state: PathBuf,
    /// What a reboot may take: the socket.
    pub runtime: PathBuf,
}

impl Paths {
    /// `CONFIGURATION_DIRECTORY`, `STATE_DIRECTORY` and `RUNTIME_DIRECTORY` (systemd.exec(5)); what systemd does not say is
    /// `/etc/spoolway`, `/var/lib/spoolway` and `/run/spoolway` for root, and the XDG folders for anybody else.
    /// `None` when there is no home either.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>, is_root: bool) -> Option<Self> {
        let given = |name: &str| variable(name).and_then(first_path);
        let (config, state, runtime) =
            (given("CONFIGURATION_DIRECTORY"), given("STATE_DIRECTORY"), given("RUNTIME_DIRECTORY"));
        let fallback = match (&config, &state, &runtime) {
            (Some(_), Some(_), Some(_)) => None,
            _ if is_root => Some(Self::of_system()),
            _ => Self::of_user(),
        };
        Some(Self {
            config: config.or_else(|| Some(fallback.as_ref()?.config.clone()))?,
            state: state.or_else(|| Some(fallback.as_ref()?.state.clone()))?,
            runtime: runtime.or_else(|| Some(fallback.as_ref()?.runtime.clone()))?,
        })
    }

    /// [`Self::find`] for this process.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        Self::find(|name| std::env::var_os(name), rustix::process::geteuid().is_root())
    }

    /// Those of one of several agents of the system: of the unit `spoolway-agent@NAME`.
    #[must_use]
    pub fn of_instance(name: &Instance) -> Self {
        let Instance(name) = name;
        Self {
            config: format!("/etc/spoolway@{name}").into(),
            state: format!("/var/lib/spoolway@{name}").into(),
            runtime: format!("/run/spoolway@{name}").into(),
        }
    }

    /// Those of the system's own agent.
    #[must_use]
    pub fn of_system() -> Self {
        Self {
            config: "/etc/spoolway".into(),
            state: "/var/lib/spoolway".into(),
            runtime: "/run/spoolway".into(),
        }
    }

    fn of_user() -> Option<Self> {
        let folders = directories::ProjectDirs::from("", "", "spoolway")?;
        let state = folders.state_dir().unwrap_or_else(|| folders.data_local_dir()).to_owned();
        Some(Self {
            config: folders.config_dir().to_owned(),
            runtime: folders.runtime_dir().map_or_else(|| state.join("run"), Path::to_owned),
            state,
        })
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("agent.toml")
    }

    /// The local socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("agent.sock")
    }
}

/// systemd separates several folders by colons; the first is ours.
fn first_path(value: OsString) -> Option<PathBuf> {
    std::env::split_paths(&value).next().filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_typed_names_the_agent_that_was_meant() {
        let left: Instance = "left".parse().unwrap();
        let said = left.typed("`spoolway-agent bed clear` or `sudo systemctl restart spoolway-agent`; `sudo spoolway-agent doctor`");
        assert_eq!(
            said,
            "`spoolway-agent --instance left bed clear` or `sudo systemctl restart spoolway-agent@left`; \
             `sudo spoolway-agent --instance left doctor`"
        );
        assert_eq!(left.typed(&said), said, "once");
        assert_eq!(left.typed("`spoolway-agent\nbed clear`"), "`spoolway-agent --instance left\nbed clear`");
        assert_eq!(left.typed("`journalctl -u spoolway-agent@left`"), "`journalctl -u spoolway-agent@left`");
    }

    #[test]
    fn systemd_wins_and_its_first_folder_is_taken() {
        let variable = |name: &str| match name {
            "CONFIGURATION_DIRECTORY" => Some("/etc/a:/etc/b".into()),
            "STATE_DIRECTORY" => Some("/var/lib/a".into()),
            _ => None,
        };
        let found = Paths::find(variable, true).unwrap();
        assert_eq!(found.config_file(), Path::new("/etc/a/agent.toml"));
        assert_eq!(found.state, Path::new("/var/lib/a"));
        assert_eq!(found.socket(), Path::new(SYSTEM_SOCKET));
    }

    #[test]
    fn each_of_several_agents_has_folders_of_its_own() {
        let folders = Paths::of_instance(&"left".parse().unwrap());
        assert_eq!(folders.config_file(), Path::new("/etc/spoolway@left/agent.toml"));
        assert_eq!(folders.state, Path::new("/var/lib/spoolway@left"));
        assert_eq!(folders.socket(), Path::new("/run/spoolway@left/agent.sock"));
        assert_eq!(unit(None), "spoolway-agent.service");
        assert_eq!(unit("left".parse().ok().as_ref()), "spoolway-agent@left.service");
        for wrong in ["", "a/b", "..", "a b", "left-hand", "spoolway-agent@left", &"x".repeat(33)] {
            assert_eq!(wrong.parse::<Instance>(), Err(InstanceError(wrong.to_owned())));
        }
    }

    #[test]
    fn root_without_systemd_uses_the_systems_folders() {
        let found = Paths::find(|_| None, true).unwrap();
        assert_eq!(found, Paths::of_system());
        assert_eq!(found.config_file(), Path::new(SYSTEM_CONFIG));
    }
}

//! Which agent a command is about: where its configuration lies and its socket is, and what a person types to name it.

use std::io;
use std::path::{Path, PathBuf};

use spoolway_protocol::JobId;

use super::{Exit, Failure, which};
use crate::config::{Flag, KeepError, LoadConfigError, Loaded, Origin, keep, load, load_text, make_folder};
use crate::local::Client;
use crate::paths::{Instance, Paths, SYSTEM_CONFIG, SYSTEM_SOCKET, unit};

/// What every command needs to find its agent: the global flags.
pub(super) struct Whereabouts {
    pub(super) file: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
    pub(super) instance: Option<Instance>,
}

impl Whereabouts {
    /// The configuration as this command sees it.
    pub(super) fn load(&self, flags: &[Flag]) -> Result<Loaded, Failure> {
        let paths = self.paths()?;
        let mut flags = flags.to_vec();
        if let Some(socket) = &self.socket {
            flags.push(Flag { key: "socket".to_owned(), value: absolute(socket)? });
        }
        Ok(load(&paths, self.file.as_deref(), std::env::vars_os(), &flags)?)
    }

    /// The configuration of the agent that [`Self::agent`] speaks with, and the file that it is read from, whether that is there or not.
    pub(super) fn load_of_agent(&self) -> Result<(Loaded, PathBuf), Failure> {
        let own = self.load(&[])?;
        if !self.means_the_systems(&own) {
            return Ok((own, self.config_file()?));
        }
        let loaded =
            load(&Paths::of_system(), None, std::env::vars_os(), &[]).map_err(|error| match error {
                LoadConfigError::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                    Failure::not_of_the_group(SYSTEM_CONFIG)
                }
                other => other.into(),
            })?;
        Ok((loaded, SYSTEM_CONFIG.into()))
    }

    /// Whether this user means the system's agent: he names no other, and has none of his own. Its folders may be closed to him.
    pub(super) fn means_the_systems(&self, own: &Loaded) -> bool {
        let is_told = self.instance.is_some()
            || self.socket.is_some()
            || *own.origin("socket") != Origin::Default
            || std::env::var_os("CONFIGURATION_DIRECTORY").is_some();
        let has_own = own.file.is_some() || own.config.socket.exists();
        !is_told && !has_own && [SYSTEM_SOCKET, SYSTEM_CONFIG].iter().any(|path| is_there(Path::new(path)))
    }

    /// The file that the configuration is read from, whether it is there or not.
    pub(super) fn config_file(&self) -> Result<PathBuf, Failure> {
        Ok(match &self.file {
            Some(file) => file.clone(),
            None => self.paths()?.config_file(),
        })
    }

    /// Puts a new text in the place of the configuration file. The folder of one of several agents is made as that of the first one is.
    pub(super) fn keep_config(&self, file: &Path, before: Option<&str>, text: &str) -> Result<(), KeepError> {
        if self.instance.is_some()
            && let (Some(folder), Some(model)) = (file.parent(), Path::new(SYSTEM_CONFIG).parent())
        {
            make_folder(folder, model)?;
        }
        keep(file, before, text)
    }

    /// What holds when the configuration file says this.
    pub(super) fn load_text(&self, file: &Path, text: &str) -> Result<Loaded, Failure> {
        Ok(load_text(&self.paths()?, Some((file, text)), std::env::vars_os(), &[])?)
    }

    pub(super) fn paths(&self) -> Result<Paths, Failure> {
        match &self.instance {
            Some(instance) => Ok(Paths::of_instance(instance)),
            None => Paths::of_this_process().ok_or_else(Failure::homeless),
        }
    }

    /// The unit as which the agent runs, if it runs as one.
    pub(super) fn unit(&self) -> String {
        unit(self.instance.as_ref())
    }

    /// What a person is told to type, so that it names this agent. Whoever names a socket knows that he does.
    pub(super) fn typed(&self, text: &str) -> String {
        self.instance.as_ref().map_or_else(|| text.to_owned(), |instance| instance.typed(text))
    }

    /// A connection to the agent.
    pub(super) fn agent(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.find_socket()?)?)
    }

    /// The job of the agent that somebody means.
    pub(super) fn job(&self, typed: &str) -> Result<JobId, Failure> {
        Ok(which::job(&self.agent()?.jobs()?, typed)?.job_id.clone())
    }

    /// None is the one that holds the printer.
    pub(super) fn job_or_none(&self, typed: Option<String>) -> Result<Option<JobId>, Failure> {
        typed.map(|typed| self.job(&typed)).transpose()
    }

    /// The socket that was named; else our own, if an agent of ours ever made it; else that of the system's agent. An agent that runs is
    /// spoken to whatever somebody has made of its configuration since: a stop waits for nobody who mends that, and reaches no other.
    pub(super) fn find_socket(&self) -> Result<PathBuf, Failure> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let paths = self.paths()?;
        match load(&paths, self.file.as_deref(), std::env::vars_os(), &[]) {
            Ok(loaded) if self.means_the_systems(&loaded) => Ok(SYSTEM_SOCKET.into()),
            Ok(loaded) => Ok(loaded.config.socket),
            Err(_) if self.file.is_none() && (self.instance.is_some() || paths.socket().exists()) => {
                Ok(paths.socket())
            }
            // Speaking to it needs no right to read its configuration.
            Err(LoadConfigError::Read { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied
                    && self.file.is_none()
                    && Path::new(SYSTEM_SOCKET).exists() =>
            {
                Ok(SYSTEM_SOCKET.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a file is there, or may be: in a folder that is closed to us.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or_else(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Relative paths on the command line are those of the shell.
pub(super) fn absolute(path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).map_err(Failure::from)?;
    path.into_os_string().into_string().map_err(|path| {
        Failure::new(
            Exit::Usage,
            format!("{}: the path is not UTF-8 text", path.display()),
            None,
            "Choose a path in plain letters.",
        )
    })
}

//! The table of settings: for every key, how a value is taken and how it is shown.

use std::path::PathBuf;

use tracing_subscriber::filter::Targets;

use super::{
    BackendKey, BaudChoice, BedConfirm, Config, LogFormat, LogKeep, PermitRule, PortChoice, ProfileChoice,
    client_cert, metrics, preflight, proxy, transfer, update,
};

/// A value as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// Quoted text in a file.
    Text(String),
    /// A whole number in a file.
    Number(i64),
    /// `true` or `false` in a file.
    Switch(bool),
    /// Something else in a file, in its own notation.
    Other(String),
    /// Bare text of a variable or a flag, which may stand for any of these.
    Bare(String),
}

/// One key.
pub(super) struct Setting {
    /// Its dotted name.
    pub(super) key: &'static str,
    /// Takes a value, or says what it must be.
    pub(super) take: fn(&mut Config, &Given) -> Result<(), String>,
    /// Shows the value in TOML.
    pub(super) show: fn(&Config) -> String,
}

/// Every key, in the order of the shipped file; those without a section first.
pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        key: "state_dir",
        take: |config, given| given.path().map(|path| set_if_some(&mut config.state_dir, path)),
        show: |config| quoted(config.state_dir.display()),
    },
    Setting {
        key: "socket",
        take: |config, given| given.path().map(|path| set_if_some(&mut config.socket, path)),
        show: |config| quoted(config.socket.display()),
    },
    Setting {
        key: "printer.port",
        take: |config, given| {
            config.printer.port = port(given)?;
            Ok(())
        },
        show: |config| quoted(&config.printer.port),
    },
    Setting {
        key: "printer.baud",
        take: |config, given| {
            config.printer.baud = baud(given)?;
            Ok(())
        },
        show: |config| match config.printer.baud {
            BaudChoice::Auto => quoted("auto"),
            BaudChoice::Rate(rate) => rate.to_string(),
        },
    },
    Setting {
        key: "printer.profile",
        take: |config, given| {
            config.printer.profile = profile(given)?;
            Ok(())
        },
        show: |config| quoted(&config.printer.profile),
    },
    Setting {
        key: "printer.parity_workaround",
        take: |config, given| {
            config.printer.parity_workaround = given.switch()?;
            Ok(())
        },
        show: |config| config.printer.parity_workaround.to_string(),
    },
    preflight::VOLUME,
    preflight::ORIGIN,
    preflight::TOOLS,
    preflight::NOZZLE,
    preflight::MODEL,
    preflight::FILAMENT,
    preflight::BLOCK,
    Setting {
        key: "profiles.folder",
        take: |config, given| {
            config.profiles.folder = given.path()?;
            Ok(())
        },
        show: |config| optional(config.profiles.folder.as_ref().map(|path| path.display())),
    },
    Setting {
        key: "bed.confirm",
        take: |config, given| {
            let text = given.text()?;
            let known = BedConfirm::WORDS.iter().find(|(word, _)| *word == text);
            config.bed.confirm = known.ok_or("must be required or not-required")?.1;
            Ok(())
        },
        show: |config| quoted(config.bed.confirm.as_str()),
    },
    Setting {
        key: "relay.url",
        take: |config, given| {
            let text = given.text()?;
            let url = if text.is_empty() { None } else { Some(text.parse()) };
            config.relay.url = url.transpose().map_err(|error: super::RelayUrlError| error.to_string())?;
            Ok(())
        },
        show: |config| optional(config.relay.url.as_ref()),
    },
    Setting {
        key: "relay.ca_file",
        take: |config, given| {
            config.relay.ca_file = given.path()?;
            Ok(())
        },
        show: |config| optional(config.relay.ca_file.as_ref().map(|path| path.display())),
    },
    Setting {
        key: "relay.ca_only",
        take: |config, given| {
            config.relay.ca_only = given.switch()?;
            Ok(())
        },
        show: |config| config.relay.ca_only.to_string(),
    },
    Setting {
        key: "relay.allow_unbound",
        take: |config, given| {
            config.relay.allow_unbound = given.switch()?;
            Ok(())
        },
        show: |config| config.relay.allow_unbound.to_string(),
    },
    client_cert::CERT,
    client_cert::KEY,
    proxy::PROXY,
    proxy::PASSWORD_FILE,
    Setting {
        key: "backend.key",
        take: |config, given| {
            config.backend.key = backend_key(given)?;
            Ok(())
        },
        show: |config| optional(config.backend.key),
    },
    Setting {
        key: "backend.next_key",
        take: |config, given| {
            config.backend.next_key = backend_key(given)?;
            Ok(())
        },
        show: |config| optional(config.backend.next_key),
    },
    Setting {
        key: "backend.permits",
        take: |config, given| {
            config.backend.permits = permits(given)?;
            Ok(())
        },
        show: |config| quoted(config.backend.permits.as_str()),
    },
    Setting {
        key: "backend.records",
        take: |config, given| {
            config.backend.records = given.switch()?;
            Ok(())
        },
        show: |config| config.backend.records.to_string(),
    },
    Setting {
        key: "spool.max_job_bytes",
        take: |config, given| {
            config.spool.max_job_bytes = given.whole(1, i64::MAX)?;
            Ok(())
        },
        show: |config| config.spool.max_job_bytes.to_string(),
    },
    Setting {
        key: "spool.max_bytes",
        take: |config, given| {
            config.spool.max_bytes = given.whole(1, i64::MAX)?;
            Ok(())
        },
        show: |config| config.spool.max_bytes.to_string(),
    },
    Setting {
        key: "spool.reserve_bytes",
        take: |config, given| {
            config.spool.reserve_bytes = given.whole(0, i64::MAX)?;
            Ok(())
        },
        show: |config| config.spool.reserve_bytes.to_string(),
    },
    transfer::PRINTING,
    Setting {
        key: "safety.idle_heater_off_after_s",
        take: |config, given| {
            config.safety.idle_heater_off_after_s = given.whole(0, 86_400)?;
            Ok(())
        },
        show: |config| config.safety.idle_heater_off_after_s.to_string(),
    },
    Setting {
        key: "safety.stall_after_s",
        take: |config, given| {
            config.safety.stall_after_s = given.whole(0, 86_400)?;
            Ok(())
        },
        show: |config| config.safety.stall_after_s.to_string(),
    },
    update::ALLOW,
    metrics::LISTEN,
    Setting {
        key: "log.level",
        take: |config, given| {
            config.log.level = level(given)?;
            Ok(())
        },
        show: |config| quoted(&config.log.level),
    },
    Setting {
        key: "log.format",
        take: |config, given| {
            config.log.format = format(given)?;
            Ok(())
        },
        show: |config| quoted(config.log.format.as_str()),
    },
    Setting {
        key: "log.files",
        take: |config, given| {
            config.log.files = keep(given)?;
            Ok(())
        },
        show: |config| quoted(config.log.files.as_str()),
    },
];

/// Every dotted key that may be set.
pub fn keys() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.key)
}

impl Given {
    /// The value as it can be repeated in a message.
    pub(super) fn shown(&self) -> String {
        const MOST_CHARS: usize = 60;
        let whole = match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Switch(switch) => switch.to_string(),
            Self::Other(text) | Self::Bare(text) => text.clone(),
        };
        let whole = proxy::without_password(&whole);
        match whole.char_indices().nth(MOST_CHARS) {
            Some((end, _)) => format!("{}...", &whole[..end]),
            None => whole,
        }
    }

    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) | Self::Bare(text) => Ok(text.trim()),
            _ => Err("must be text in quotes".to_owned()),
        }
    }

    pub(super) fn whole<T: TryFrom<i64>>(&self, least: i64, most: i64) -> Result<T, String> {
        let number = match self {
            Self::Number(number) => Some(*number),
            Self::Bare(text) => text.trim().parse().ok(),
            _ => None,
        };
        let fits = number.filter(|number| (least..=most).contains(number));
        fits.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            let bound = if most == i64::MAX {
                format!("of at least {least}")
            } else {
                format!("from {least} to {most}")
            };
            format!("must be a whole number {bound}")
        })
    }

    pub(super) fn switch(&self) -> Result<bool, String> {
        match self {
            Self::Switch(switch) => Ok(*switch),
            Self::Bare(text) if text.trim() == "true" => Ok(true),
            Self::Bare(text) if text.trim() == "false" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        }
    }

    pub(super) fn path(&self) -> Result<Option<PathBuf>, String> {
        let path = PathBuf::from(self.text()?);
        match path.as_os_str().is_empty() {
            true => Ok(None),
            false if path.is_absolute() => Ok(Some(path)),
            false => Err("must be an absolute path".to_owned()),
        }
    }
}

/// Empty text leaves what the platform gave.
fn set_if_some(place: &mut PathBuf, path: Option<PathBuf>) {
    if let Some(path) = path {
        *place = path;
    }
}

fn port(given: &Given) -> Result<PortChoice, String> {
    if given.text() == Ok("auto") {
        return Ok(PortChoice::Auto);
    }
    let path = given.path().map_err(|why| format!("{why}, or \"auto\""))?;
    Ok(PortChoice::Path(path.ok_or("must be the path of a serial port, or \"auto\"")?))
}

fn baud(given: &Given) -> Result<BaudChoice, String> {
    match given.text() {
        Ok("auto") => Ok(BaudChoice::Auto),
        _ => match given.whole(1_200, 4_000_000) {
            Ok(rate) => Ok(BaudChoice::Rate(rate)),
            Err(why) => Err(format!("{why}, or \"auto\"")),
        },
    }
}

fn profile(given: &Given) -> Result<ProfileChoice, String> {
    let is_id =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    match given.text()? {
        "auto" => Ok(ProfileChoice::Auto),
        id if (1..=64).contains(&id.len()) && is_id(id) => Ok(ProfileChoice::Id(id.to_owned())),
        _ => Err("must be \"auto\" or the id of a profile".to_owned()),
    }
}

fn level(given: &Given) -> Result<String, String> {
    let text = given.text()?;
    let refused =
        "must be error, warn, info, debug or trace, or a list such as \"info,spoolway_agent=debug\"";
    // The filter reads any bare word as the name of a module, so a mistyped level would silence everything.
    let is_part =
        |part: &str| part.contains(['=', '[']) || part.parse::<tracing::level_filters::LevelFilter>().is_ok();
    if text.is_empty()
        || !text.split(',').all(|part| is_part(part.trim()))
        || text.parse::<Targets>().is_err()
    {
        return Err(refused.to_owned());
    }
    Ok(text.to_owned())
}

fn format(given: &Given) -> Result<LogFormat, String> {
    let text = given.text()?;
    let known = LogFormat::WORDS.iter().find(|(word, _)| *word == text);
    known.map(|(_, format)| *format).ok_or_else(|| "must be auto, human, json or journald".to_owned())
}

fn keep(given: &Given) -> Result<LogKeep, String> {
    let text = given.text()?;
    let known = LogKeep::WORDS.iter().find(|(word, _)| *word == text);
    known.map(|(_, keep)| *keep).ok_or_else(|| "must be auto, always or never".to_owned())
}

fn backend_key(given: &Given) -> Result<Option<BackendKey>, String> {
    let text = given.text()?;
    let key = if text.is_empty() { None } else { Some(text.parse()) };
    key.transpose().map_err(|error: super::BackendKeyError| error.to_string())
}

fn permits(given: &Given) -> Result<PermitRule, String> {
    let text = given.text()?;
    let known = PermitRule::WORDS.iter().find(|(word, _)| *word == text);
    known.map(|(_, rule)| *rule).ok_or_else(|| "must be auto, required or optional".to_owned())
}

pub(super) fn quoted(value: impl std::fmt::Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

pub(super) fn optional(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| quoted(""), quoted)
}

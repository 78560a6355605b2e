//! Puts the layers together: defaults, file, environment, flags; and holds every value to its rule. Every error names who said it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use spoolway_relay::config::{ClientCerts, Config, DEFAULT_TOML};
use toml::{Table, Value};

use crate::host;

/// Numbers of which 0 means that there is no limit, or no time.
const MAY_BE_ZERO: [&str; 8] = [
    "limits.address_failures_per_minute",
    "limits.agent_logins_per_minute",
    "limits.agent_frames_per_s",
    "limits.agent_bytes_per_s",
    "limits.backend_commands_per_s",
    "limits.agent_commands_per_s",
    "drain.spread_ms",
    "tls.warn_days",
];

const ENV_PREFIX: &str = "SPOOLWAY_RELAY_";

/// One value set by a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Dotted key such as `listen.address`.
    pub key: String,
    /// Text of the value; lists are separated by commas.
    pub value: String,
}

/// Why the configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("configuration file {}: {detail}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Line and mistake as the parser reports them.
        detail: String,
    },
    /// A file, the environment or a flag names a key that does not exist.
    #[error("{origin}: there is no setting `{key}`")]
    UnknownKey {
        /// Who said it.
        origin: String,
        /// The key.
        key: String,
    },
    /// A value does not fit its key.
    #[error("{origin}: {key} = {value}: {why}")]
    Value {
        /// Who said it.
        origin: String,
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// The rule it breaks.
        why: String,
    },
}

/// Loads the configuration: defaults, then `file`, then `environment`, then `flags`.
///
/// # Errors
/// Names the file, variable or flag, the key and the value.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[Override],
) -> Result<Config, LoadConfigError> {
    let mut layers = Layers::new();
    if let Some(file) = file {
        layers.file(file)?;
    }
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(ENV_PREFIX) {
            let origin = format!("environment variable {name}");
            let key = layers.key_of_variable(key).ok_or_else(|| LoadConfigError::UnknownKey {
                origin: origin.clone(),
                key: key.to_ascii_lowercase(),
            })?;
            layers.set(&key, &value, origin)?;
        }
    }
    for flag in flags {
        layers.set(&flag.key, &flag.value, "command line".into())?;
    }
    layers.finish()
}

struct Layers {
    merged: Table,
    origins: BTreeMap<String, String>,
}

impl Layers {
    fn new() -> Self {
        let merged = DEFAULT_TOML.parse().expect("the shipped file is TOML, a test proves it");
        Self { merged, origins: BTreeMap::new() }
    }

    fn file(&mut self, file: &Path) -> Result<(), LoadConfigError> {
        let read = |source| LoadConfigError::Read { file: file.to_owned(), source };
        let text = std::fs::read_to_string(file).map_err(read)?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| LoadConfigError::Parse {
            file: file.to_owned(),
            detail: error.to_string(),
        })?;
        let origin = format!("configuration file {}", file.display());
        for (section, values) in table {
            let unknown = |key| LoadConfigError::UnknownKey { origin: origin.clone(), key };
            let Value::Table(values) = values else { return Err(unknown(section)) };
            for (key, value) in values {
                let key = format!("{section}.{key}");
                self.get(&key).ok_or_else(|| unknown(key.clone()))?;
                self.put(&key, value, origin.clone())?;
            }
        }
        Ok(())
    }

    /// `LISTEN_ADDRESS` is `listen.address`; section names hold no underscore, a test proves it.
    fn key_of_variable(&self, variable: &str) -> Option<String> {
        let (section, key) = variable.split_once('_')?;
        let key = format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase());
        self.get(&key).is_some().then_some(key)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let (section, key) = key.split_once('.')?;
        self.merged.get(section)?.get(key)
    }

    fn set(&mut self, key: &str, text: &str, origin: String) -> Result<(), LoadConfigError> {
        let value = match self.get(key) {
            None => return Err(LoadConfigError::UnknownKey { origin, key: key.to_owned() }),
            // What is no number is refused by its type.
            Some(Value::Integer(_)) => {
                text.trim().parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
            }
            Some(Value::Array(_)) => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                Value::Array(words.map(|word| Value::String(word.to_owned())).collect())
            }
            Some(_) => Value::String(text.to_owned()),
        };
        self.put(key, value, origin)
    }

    /// Puts a value of the right type in place of the one before.
    fn put(&mut self, key: &str, value: Value, origin: String) -> Result<(), LoadConfigError> {
        let Some((section, name)) = key.split_once('.') else { return Ok(()) };
        if let Some(Value::Table(section)) = self.merged.get_mut(section) {
            section.insert(name.to_owned(), value);
            self.origins.insert(key.to_owned(), origin);
        }
        match self.merged.clone().try_into::<Config>() {
            Ok(_) => Ok(()),
            Err(error) => Err(self.misfit(key, error.message())),
        }
    }

    fn finish(self) -> Result<Config, LoadConfigError> {
        let mut config: Config = self.merged.clone().try_into().expect("each value was of its type");
        if let Some((key, why)) = broken_rule(&config) {
            return Err(self.misfit(&key, why));
        }
        for host in &mut config.relay.hosts {
            let named =
                host::name(host).map_err(|why| self.misfit("relay.hosts", &format!("{host:?}: {why}")));
            *host = named?;
        }
        Ok(config)
    }

    fn misfit(&self, key: &str, why: &str) -> LoadConfigError {
        LoadConfigError::Value {
            origin: self.origins.get(key).cloned().unwrap_or_else(|| "default".into()),
            key: key.to_owned(),
            value: self.get(key).map(ToString::to_string).unwrap_or_default(),
            why: why.to_owned(),
        }
    }
}

/// The first rule that a value breaks: its key and what is wrong.
fn broken_rule(config: &Config) -> Option<(String, &'static str)> {
    if let Some(key) = key_that_is_zero(config) {
        return Some((key, "must be above 0"));
    }
    let address = |text: &str| text.parse::<SocketAddr>().ok();
    let admin = &config.admin.address;
    let rules = [
        (address(&config.listen.address).is_some(), "listen.address", "must be an IP address and a port"),
        (
            admin.is_empty() || address(admin).is_some_and(|admin| admin.ip().is_loopback()),
            "admin.address",
            "must be a loopback address and a port, or empty",
        ),
        (!config.relay.hosts.is_empty(), "relay.hosts", "must name at least one host"),
        (
            config.tls.client_ca.is_empty() || config.tls.client_certs != ClientCerts::Off,
            "tls.client_ca",
            "is of use only where tls.client_certs is ask or require",
        ),
        (
            config.session.dead_ms > config.session.hb_ms,
            "session.dead_ms",
            "must be above session.hb_ms, or healthy peers are closed",
        ),
        (
            config.limits.mailbox_bytes >= spoolway_protocol::limits::TEXT_FRAME_BYTES,
            "limits.mailbox_bytes",
            "must hold at least one text frame of the largest size",
        ),
    ];
    rules.into_iter().find(|(is_kept, ..)| !is_kept).map(|(_, key, why)| (key.to_owned(), why))
}

/// Numbers are above 0, but for those of which 0 means that there is none.
fn key_that_is_zero(config: &Config) -> Option<String> {
    let sections = Table::try_from(config).ok()?;
    let values = sections.iter().filter_map(|(section, values)| Some((section, values.as_table()?)));
    let mut zeros = values.flat_map(|(section, values)| {
        let zeros = values.iter().filter(|(_, value)| value.as_integer() == Some(0));
        zeros.map(move |(key, _)| format!("{section}.{key}"))
    });
    zeros.find(|key| !MAY_BE_ZERO.contains(&key.as_str()))
}

#[cfg(test)]
mod tests {
    use spoolway_relay::config::{Identity, Listen};

    use super::*;

    fn with_file(text: &str) -> Result<Config, LoadConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("relay.toml");
        std::fs::write(&file, text).unwrap();
        load(Some(&file), [], &[])
    }

    #[test]
    fn the_shipped_file_is_whole_and_breaks_no_rule() {
        assert_eq!(load(None, [], &[]).unwrap(), Config::default());
        let table: Table = DEFAULT_TOML.parse().unwrap();
        assert_eq!(Value::Table(table.clone()), Value::try_from(Config::default()).unwrap());
        assert!(table.keys().all(|section| !section.contains('_')));
    }

    #[test]
    fn later_layers_win() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("relay.toml");
        std::fs::write(&file, "[listen]\naddress = \"127.0.0.1:1\"\nbacklog = 7\n[relay]\nid = \"file\"\n")
            .unwrap();
        let environment = [
            ("SPOOLWAY_RELAY_LISTEN_ADDRESS".to_owned(), "127.0.0.1:2".to_owned()),
            ("SPOOLWAY_RELAY_RELAY_HOSTS".to_owned(), "a.example, b.example".to_owned()),
            ("UNRELATED".to_owned(), "x".to_owned()),
        ];
        let flags = [Override { key: "listen.address".into(), value: "127.0.0.1:3".into() }];
        let config = load(Some(&file), environment, &flags).unwrap();
        assert_eq!(config.listen, Listen { address: "127.0.0.1:3".into(), backlog: 7 });
        assert_eq!(
            config.relay,
            Identity { id: "file".into(), hosts: vec!["a.example".into(), "b.example".into()] }
        );
    }

    #[test]
    fn errors_name_file_key_and_value() {
        let error = with_file("[listen]\nadress = \"127.0.0.1:1\"\n").unwrap_err().to_string();
        assert!(error.contains("relay.toml") && error.contains("adress"), "{error}");
        let error = with_file("[session]\nhb_ms = 60000\ndead_ms = 5\n").unwrap_err().to_string();
        assert!(error.contains("relay.toml") && error.contains("session.dead_ms = 5"), "{error}");
        let error = with_file("[limits]\nmax_sockets = \"many\"\n").unwrap_err().to_string();
        assert!(error.contains("relay.toml") && error.contains("many"), "{error}");
        let error = with_file("[tls]\nclient_ca = \"/etc/ca.pem\"\n").unwrap_err().to_string();
        assert!(error.contains("tls.client_ca") && error.contains("tls.client_certs"), "{error}");
        let error = with_file("[tls]\nclient_certs = \"always\"\n").unwrap_err().to_string();
        assert!(error.contains("client_certs") && error.contains("require"), "{error}");
        let error = with_file("limits = 3\n").unwrap_err().to_string();
        assert!(error.contains("relay.toml") && error.contains("no setting `limits`"), "{error}");
        let error = with_file("[limits\n").unwrap_err().to_string();
        assert!(error.contains("relay.toml") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn hosts_are_names_and_addresses_alone() {
        let error =
            with_file("[relay]\nhosts = [\"localhost\", \"https://relay.example:8443\"]\n").unwrap_err();
        let error = error.to_string();
        for part in ["relay.toml: relay.hosts = ", "\"https://relay.example:8443\": ", "as in relay.example"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        for text in ["[]", "[\"\"]", "[\" \"]", "[\"*.example\"]"] {
            let error = with_file(&format!("[relay]\nhosts = {text}\n")).unwrap_err().to_string();
            assert!(error.contains("relay.hosts"), "{text}: {error}");
        }
        let config = with_file("[relay]\nhosts = [\"::1\", \"[::1]\", \"Relay\"]\n").unwrap();
        assert_eq!(config.relay.hosts, ["[::1]", "[::1]", "Relay"], "as in the header");
    }

    #[test]
    fn no_number_is_zero_that_would_stop_the_relay() {
        let error = with_file("[limits]\nbulk_frames = 0\n").unwrap_err().to_string();
        assert!(error.contains("relay.toml: limits.bulk_frames = 0: must be above 0"), "{error}");
        let config = with_file("[limits]\nagent_frames_per_s = 0\n[drain]\nspread_ms = 0\n").unwrap();
        assert_eq!((config.limits.agent_frames_per_s, config.drain.spread_ms), (0, 0));
    }

    #[test]
    fn errors_name_variable_and_flag() {
        let set = |name: &str, value: &str| {
            load(None, [(name.to_owned(), value.to_owned())], &[]).unwrap_err().to_string()
        };
        let error = set("SPOOLWAY_RELAY_LIMITS_MAX_SOCKETS", "many");
        assert!(error.contains("SPOOLWAY_RELAY_LIMITS_MAX_SOCKETS") && error.contains("many"), "{error}");
        let error = set("SPOOLWAY_RELAY_LIMITS_SOCKETS", "3");
        assert!(error.contains("no setting `limits_sockets`"), "{error}");
        let error = set("SPOOLWAY_RELAY_LOG_FORMAT", "xml");
        assert!(
            error.contains("LOG_FORMAT") && error.contains("log.format") && error.contains("xml"),
            "{error}"
        );
        let error = set("SPOOLWAY_RELAY_ADMIN_ADDRESS", "0.0.0.0:9443");
        assert!(error.contains("loopback"), "{error}");
    }
}

//! `enrol`: tokens by which many agents pair without a person, each as a file for the boot partition of a card.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use spoolway_protocol::BackendId;
use toml::{Table, Value};

use super::pair::keys_of;
use super::registry::{now_ms, open};
use super::table::counted;
use super::{CONFIG, Failed, USAGE};
use crate::host;
use spoolway_relay::auth;
use spoolway_relay::config::Config;
use spoolway_relay::paths::Directories;
use spoolway_relay_registry::{EnrolmentRecord, Pairings, SqliteRegistry};

const DAY_MS: u64 = 86_400_000;

#[derive(Debug, Subcommand)]
pub(super) enum EnrolCommand {
    /// Make a token; prints the file for the boot partition, once
    #[command(
        after_help = "Example:\n  spoolway-relay enrol add --backend farm --uses 40 --days 3 > spoolway-enrol.toml"
    )]
    Add(NewToken),
    /// Take a token back
    #[command(after_help = "Example:\n  spoolway-relay enrol revoke 9f86d081")]
    Revoke {
        /// Its name
        id: String,
    },
    /// Show every token
    #[command(after_help = "Example:\n  spoolway-relay enrol list")]
    List,
}

#[derive(Debug, Args)]
pub(super) struct NewToken {
    /// The backend that shall own the agents
    #[arg(long)]
    backend: BackendId,
    /// How many agents may use it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    uses: u32,
    /// For how many days
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=366))]
    days: u64,
    /// Public key that the backend signs permits with (Ed25519, base64); may be given twice
    #[arg(long, value_name = "BASE64")]
    key: Vec<String>,
    /// Where agents reach this relay [default: the first of relay.hosts that is not this machine to itself, and the port of listen.address]
    #[arg(long, value_name = "URL", value_parser = host::address)]
    relay: Option<String>,
    /// Authority that signed the relay's certificate [default: tls/ca.pem, if it is there]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl EnrolCommand {
    pub(super) fn carry_out(self, config: &Config, directories: &Directories) -> Result<(), Failed> {
        let file = config.registry_file(directories);
        let mut registry = open(&file)?;
        match self {
            Self::Add(token) => add(&mut registry, token, config, directories),
            Self::Revoke { id } => {
                registry.remove_enrolment(&id)?;
                println!("enrolment token {id} is gone");
                Ok(())
            }
            Self::List => {
                for EnrolmentRecord { id, backend, uses_left, expires_ms, .. } in registry.enrolments()? {
                    let days = expires_ms.saturating_sub(now_ms()).div_ceil(DAY_MS);
                    let (uses, days) = (counted(uses_left, "use", "uses"), counted(days, "day", "days"));
                    println!("{id}\t{backend}\t{uses} left\t{days} left");
                }
                Ok(())
            }
        }
    }
}

fn add(
    registry: &mut SqliteRegistry,
    token: NewToken,
    config: &Config,
    directories: &Directories,
) -> Result<(), Failed> {
    let NewToken { backend, uses, days, key, relay, ca } = token;
    let keys = keys_of(&key).map_err(Failed::with(USAGE))?;
    let (relay, is_only_here) = match relay {
        Some(relay) => (relay, false),
        None => address(config).map_err(Failed::with(CONFIG))?,
    };
    let usual = Some(directories.tls().join("ca.pem")).filter(|file| file.exists());
    let ca = match ca.or(usual) {
        Some(file) => Some(std::fs::read_to_string(&file).with_context(|| file.display().to_string())?),
        None => None,
    };
    let no_randomness = |_| anyhow!("the system has no randomness");
    let id: String =
        auth::random::<4>().map_err(no_randomness)?.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = auth::new_secret().map_err(no_randomness)?;
    let record = EnrolmentRecord {
        id: id.clone(),
        backend: backend.clone(),
        secret_hash: auth::hash_of_secret(&secret),
        uses_left: uses,
        expires_ms: now_ms().saturating_add(days * DAY_MS),
    };
    registry.add_enrolment(&record)?;
    let mut file = Table::from_iter([
        ("relay".to_owned(), relay.into()),
        ("backend".to_owned(), backend.as_str().into()),
        ("token".to_owned(), format!("{id}.{secret}").into()),
        ("keys".to_owned(), Value::Array(keys.iter().map(|key| STANDARD.encode(key).into()).collect())),
    ]);
    file.extend(ca.map(|ca| ("ca".to_owned(), ca.into())));
    eprintln!(
        "This is shown once: spoolway-enrol.toml of each card, {} in {}.",
        counted(uses, "use", "uses"),
        counted(days, "day", "days")
    );
    if is_only_here {
        eprintln!("These cards lead to this machine only: name the relay with --relay.");
    }
    print!("{}", toml::to_string(&file).context("the file cannot be shown")?);
    Ok(())
}

/// Where agents reach this relay, as far as its configuration tells, and whether only those of this machine do.
fn address(config: &Config) -> anyhow::Result<(String, bool)> {
    let (hosts, listen) = (&config.relay.hosts, &config.listen.address);
    let elsewhere = hosts.iter().find(|host| !host::is_this_machine(host));
    let host = elsewhere.or(hosts.first()).map_or("localhost", String::as_str);
    let port = listen.rsplit_once(':').map_or("443", |(_, port)| port);
    let address = format!("wss://{host}:{port}");
    let address = host::address(&address).map_err(|why| {
        anyhow!("{address} (relay.hosts, listen.address): {why}; name the relay with --relay")
    })?;
    Ok((address, elsewhere.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_lead_to_a_name_that_others_know_where_there_is_one() {
        let mut config = Config::default();
        assert_eq!(address(&config).unwrap(), ("wss://localhost:8443".to_owned(), true));
        config.relay.hosts = ["localhost", "[::1]", "[2001:db8::7]", "b.example"].map(str::to_owned).into();
        assert_eq!(address(&config).unwrap(), ("wss://[2001:db8::7]:8443".to_owned(), false));
        config.listen.address = "0.0.0.0:0".to_owned();
        let error = address(&config).unwrap_err().to_string();
        assert!(error.contains("listen.address") && error.contains("--relay"), "{error}");
    }
}

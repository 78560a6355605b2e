//! Settings that have a flag of their own with `run`.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, absolute};
use crate::config::Flag;

/// Settings that are tried out often enough to have a flag of their own.
#[derive(Debug, Args)]
pub(super) struct RunFlags {
    /// Serial port of the printer, or auto.
    #[arg(long, value_name = "PATH")]
    port: Option<PathBuf>,
    /// Bits per second, or auto.
    #[arg(long, value_parser = parse_baud)]
    baud: Option<String>,
    /// Firmware profile, or auto.
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// Relay, as wss://host or wss://host:port.
    #[arg(long, value_name = "URL")]
    relay: Option<String>,
    /// Folder for identity, database and files.
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Least level that is logged, such as debug.
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Any other setting by its key, such as spool.reserve_bytes=1000000.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_set)]
    set: Vec<Flag>,
}

impl RunFlags {
    /// The flags by the keys of the configuration.
    pub(super) fn flags(self) -> Result<Vec<Flag>, Failure> {
        let path = |path: Option<PathBuf>| path.as_deref().map(absolute).transpose();
        let port = match self.port {
            Some(port) if port.as_os_str() == "auto" => Some("auto".to_owned()),
            port => path(port)?,
        };
        let given = [
            ("printer.port", port),
            ("printer.baud", self.baud),
            ("printer.profile", self.profile),
            ("relay.url", self.relay),
            ("state_dir", path(self.state_dir)?),
            ("log.level", self.log),
        ];
        let given =
            given.into_iter().filter_map(|(key, value)| Some(Flag { key: key.to_owned(), value: value? }));
        Ok(given.chain(self.set).collect())
    }
}

/// A number or `auto`; whether the number will do is said by the configuration.
fn parse_baud(text: &str) -> Result<String, String> {
    match text {
        "auto" => Ok(text.to_owned()),
        _ if text.parse::<u32>().is_ok() => Ok(text.to_owned()),
        _ => Err("must be a number or auto".to_owned()),
    }
}

fn parse_set(text: &str) -> Result<Flag, String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok(Flag { key: key.trim().to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::{Arguments, Command};

    #[test]
    fn flags_have_the_keys_of_the_configuration() {
        let words = ["a", "run", "--port", "/dev/x", "--baud", "9600", "--set", "log.format=json"];
        let Command::Run(flags) = Arguments::try_parse_from(words).unwrap().command else { panic!("run") };
        let flags = flags.flags().unwrap();
        let pairs: Vec<_> = flags.iter().map(|flag| (flag.key.as_str(), flag.value.as_str())).collect();
        assert_eq!(pairs, [("printer.port", "/dev/x"), ("printer.baud", "9600"), ("log.format", "json")]);
        assert!(pairs.iter().all(|(key, _)| crate::config::keys().any(|known| known == *key)));
    }
}

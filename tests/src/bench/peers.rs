//! Other hosts for comparison: installed from PyPI into a scratch virtual environment, and driven by small scripts.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use serde::Deserialize;

use crate::process::ChildProcess;

/// What is installed. Printrun's own dependencies are those of its windows; its core needs none that OctoPrint has not.
const OCTOPRINT: &str = "OctoPrint==1.11.8";
const PRINTRUN: &str = "Printrun==2.2.0";
/// The interpreter that makes the virtual environment.
const PYTHON: &str = "python3";
/// How long a driver may take for a print.
const PATIENCE: Duration = Duration::from_secs(240);
/// Time between two looks at a driver.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    /// OctoPrint's comm layer alone.
    Octoprint,
    /// Printrun's printcore.
    Printrun,
}

impl Peer {
    /// The name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Octoprint => "OctoPrint",
            Self::Printrun => "Printrun",
        }
    }

    fn driver(self) -> &'static str {
        match self {
            Self::Octoprint => include_str!("peers/octoprint_driver.py"),
            Self::Printrun => include_str!("peers/printrun_driver.py"),
        }
    }
}

/// What a driver says of a print.
#[derive(Debug, Deserialize)]
pub(super) struct PeerReport {
    /// Processor time from the first to the last line.
    pub(super) cpu_s: f64,
    /// The most memory its process ever had.
    pub(super) peak_bytes: u64,
}

/// The virtual environment.
#[derive(Debug)]
pub(super) struct Peers {
    python: PathBuf,
}

impl Peers {
    /// Takes the environment as it is when both hosts are there, and makes it otherwise.
    ///
    /// # Errors
    /// There is no Python, or no way to PyPI; the text says how to go without.
    pub(super) fn install(folder: Option<&Path>) -> anyhow::Result<Self> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => cache("octoprint-1.11.8-printrun-2.2.0").context("say --venv")?,
        };
        let python = folder.join("bin").join("python");
        let peers = Self { python };
        if peers.are_there() {
            return Ok(peers);
        }
        let advice = "the other hosts cannot be installed; --peers none leaves them out";
        make_venv(&folder, &[&[OCTOPRINT], &["--no-deps", PRINTRUN]]).context(advice)?;
        ensure!(peers.are_there(), "{advice}: {} lacks them", folder.display());
        Ok(peers)
    }

    fn are_there(&self) -> bool {
        let versions = [OCTOPRINT, PRINTRUN].map(|wanted| {
            let (name, version) = wanted.split_once("==").unwrap_or((wanted, ""));
            format!("version('{name}') == '{version}'")
        });
        let script = format!(
            "import sys\nfrom importlib.metadata import version\nimport octoprint.util.comm, printrun.printcore\n\
             sys.exit(not ({}))",
            versions.join(" and ")
        );
        let mut python = Command::new(&self.python);
        python.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        python.status().is_ok_and(|status| status.success())
    }

    /// Has a file printed on a board that waits at `device`.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) async fn print(
        &self,
        peer: Peer,
        dir: &Path,
        (device, baud): (&Path, u32),
        file: &Path,
    ) -> anyhow::Result<PeerReport> {
        let (script, log) = (dir.join("driver.py"), dir.join("driver.log"));
        std::fs::write(&script, peer.driver())?;
        let text = |path: &Path| path.display().to_string();
        let words = [text(&script), text(device), baud.to_string(), text(file), text(dir)];
        let mut driver = ChildProcess::spawn(peer.name(), &self.python, &words, &log)?;
        let line = heard(&driver).await.with_context(|| driver.log_tail())?;
        let status = driver.wait(PATIENCE)?;
        ensure!(status.success(), "the driver ended with {status}:\n{}", driver.log_tail());
        serde_json::from_str(&line).with_context(|| format!("the driver says {line:?}"))
    }
}

/// The driver's line, without being deaf to interrupts meanwhile.
async fn heard(driver: &ChildProcess) -> io::Result<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        match driver.line(Duration::ZERO) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && Instant::now() < until => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            heard => return heard,
        }
    }
}

/// A virtual environment in which everything is installed: a `pip install` for each of the lists.
pub(super) fn make_venv(folder: &Path, installs: &[&[&str]]) -> anyhow::Result<()> {
    eprintln!("installing {} into {}", installs.concat().join(" "), folder.display());
    let made = Command::new(PYTHON).args(["-m", "venv"]).arg(folder).stdin(Stdio::null()).output();
    succeeded(made.with_context(|| format!("{PYTHON} is not to be had"))?)?;
    for words in installs {
        let mut pip = Command::new(folder.join("bin").join("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(*words);
        succeeded(pip.stdin(Stdio::null()).output()?)?;
    }
    Ok(())
}

/// A folder in the user's cache, outside the tree, and named after what is in it.
pub(super) fn cache(what: &str) -> anyhow::Result<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = given.or_else(home).context("there is neither XDG_CACHE_HOME nor HOME")?;
    Ok(cache.join("spoolway-bench").join(what))
}

/// The end of what a program has said, when it has failed.
pub(super) fn succeeded(output: Output) -> anyhow::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last: Vec<_> = text.lines().rev().take(5).collect();
    bail!("{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

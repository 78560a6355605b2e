//! The relay's own program in a process of its own.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use spoolway_relay::run::Bound;

/// It is killed when it is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) bound: Bound,
    /// What it says behind having said that it is up.
    pub(crate) log: Lines<BufReader<ChildStderr>>,
}

impl Program {
    /// Runs in a folder that holds all it needs, until it says where it listens.
    pub(crate) fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spoolway-relay"));
        command.arg("--folder").arg(folder);
        command.args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--set",
            "log.format=json",
        ]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let up =
            log.find_map(|line| Some(line.unwrap()).filter(|line| line.contains("relay is up"))).unwrap();
        let up: serde_json::Value = serde_json::from_str(&up).unwrap();
        let address = |name: &str| {
            let text = up["fields"][name].as_str()?;
            text.trim_start_matches("Some(").trim_end_matches(')').parse().ok()
        };
        let bound = Bound { public: address("public").unwrap(), admin: address("admin") };
        Self { child, bound, log }
    }

    /// The most memory that it has had so far, bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        kib.unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

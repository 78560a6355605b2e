//! What disturbs an agent from outside, each under our control: a card that takes two seconds for every sync, and a log that
//! nobody reads in time.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};

/// What the slow reader of a log takes at once, and how often.
const SIP_BYTES: usize = 64;
const SIP_EVERY: Duration = Duration::from_millis(100);
/// How long a sync takes while they are slow.
const SYNC_MS: u64 = 2_000;
const SLOW_SYNC: &str = include_str!("slow_sync.c");

/// A card on which every sync takes two seconds while it is asked to.
#[derive(Debug)]
pub(super) struct SlowCard {
    library: PathBuf,
    switch: PathBuf,
    tally: PathBuf,
    sync_ms: u64,
}

impl SlowCard {
    /// Compiles what is preloaded into the agent.
    ///
    /// # Errors
    /// There is no C compiler.
    pub(super) fn make(dir: &Path) -> anyhow::Result<Self> {
        let (source, library) = (dir.join("slow_sync.c"), dir.join("slow_sync.so"));
        std::fs::write(&source, SLOW_SYNC)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let done = compiler.stdin(Stdio::null()).output().context("slow syncs need a C compiler as cc")?;
        ensure!(done.status.success(), "cc: {}", String::from_utf8_lossy(&done.stderr));
        let (switch, tally) = (dir.join("syncs-are-slow"), dir.join("slow-syncs"));
        Ok(Self { library, switch, tally, sync_ms: SYNC_MS })
    }

    /// What the agent's environment has to hold.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.library.clone().into()),
            ("SLOW_SYNC_SWITCH", self.switch.clone().into()),
            ("SLOW_SYNC_TALLY", self.tally.clone().into()),
            ("SLOW_SYNC_MS", self.sync_ms.to_string().into()),
        ]
    }

    /// Makes syncs slow, or quick again.
    pub(super) fn set_slow(&self, slow: bool) -> io::Result<()> {
        if slow { File::create(&self.switch).map(drop) } else { std::fs::remove_file(&self.switch) }
    }

    /// Syncs that were slow.
    pub(super) fn slow_syncs(&self) -> u64 {
        std::fs::metadata(&self.tally).map_or(0, |tally| tally.len())
    }
}

/// The reading end of a log that takes a few bytes now and then; the writer finds its pipe full.
#[derive(Debug)]
pub(super) struct SlowReader {
    is_over: Arc<AtomicBool>,
    reader: Arc<PipeReader>,
}

impl SlowReader {
    /// The reader, and the end that a process writes to.
    pub(super) fn start() -> io::Result<(Self, File)> {
        let (reader, writer) = io::pipe()?;
        let (is_over, reader) = (Arc::new(AtomicBool::new(false)), Arc::new(reader));
        let (over, pipe) = (Arc::clone(&is_over), Arc::clone(&reader));
        thread::Builder::new().name("slow reader".to_owned()).spawn(move || {
            let mut sip = [0; SIP_BYTES];
            loop {
                if !(&*pipe).read(&mut sip).is_ok_and(|got| got > 0) {
                    return;
                }
                if !over.load(Ordering::Acquire) {
                    thread::sleep(SIP_EVERY);
                }
            }
        })?;
        Ok((Self { is_over, reader }, File::from(OwnedFd::from(writer))))
    }

    /// Bytes that were written and have not been read.
    pub(super) fn waiting(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.reader)?)
    }

    /// Reads on without pauses, so that the writer can end.
    pub(super) fn hurry(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_preloaded_program_finds_its_syncs_slow_only_while_it_should() {
        let dir = tempfile::tempdir().unwrap();
        let card = SlowCard { sync_ms: 1, ..SlowCard::make(dir.path()).unwrap() };
        let file = dir.path().join("file");
        File::create(&file).unwrap();
        let sync = || {
            let mut sync = Command::new("sync");
            sync.arg(&file).envs(card.environment());
            assert!(sync.status().unwrap().success());
        };
        sync();
        assert_eq!(card.slow_syncs(), 0);
        card.set_slow(true).unwrap();
        sync();
        assert_eq!(card.slow_syncs(), 1);
        card.set_slow(false).unwrap();
        sync();
        assert_eq!(card.slow_syncs(), 1);
    }

    #[test]
    fn a_slow_reader_reads_everything_once_it_hurries() {
        let (reader, mut writer) = SlowReader::start().unwrap();
        writer.write_all(&[b'x'; 100 * SIP_BYTES]).unwrap();
        assert!(reader.waiting().unwrap() > 0);
        reader.hurry();
        while reader.waiting().unwrap() > 0 {
            thread::yield_now();
        }
    }
}

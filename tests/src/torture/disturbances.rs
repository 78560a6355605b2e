//! What disturbs an agent from outside, each under our control: a network that swallows everything, a card that takes two
//! seconds for every sync, and a log that nobody reads in time.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};

/// How often somebody who waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What the slow reader of a log takes at once, and how often.
const SIP_BYTES: usize = 64;
const SIP_EVERY: Duration = Duration::from_millis(100);
/// How long a sync takes while they are slow.
const SYNC_MS: u64 = 2_000;
const SLOW_SYNC: &str = include_str!("slow_sync.c");

/// A way to the relay that can be made a black hole: connections stay open and swallow what is sent.
#[derive(Debug)]
pub(super) struct BlackHole {
    port: u16,
    shared: Arc<Way>,
}

#[derive(Debug, Default)]
struct Way {
    target: AtomicU16,
    is_black: AtomicBool,
    swallowed: AtomicU64,
    is_over: AtomicBool,
}

impl BlackHole {
    /// A port that leads nowhere yet.
    pub(super) fn open() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (port, shared) = (listener.local_addr()?.port(), Arc::new(Way::default()));
        let way = Arc::clone(&shared);
        thread::Builder::new().name("way".to_owned()).spawn(move || {
            for host in listener.incoming().map_while(Result::ok) {
                if way.is_over.load(Ordering::Acquire) {
                    return;
                }
                let way = Arc::clone(&way);
                // Whoever dials while the way cannot be opened sees it closed and dials again.
                let _ = thread::Builder::new().name("way".to_owned()).spawn(move || way.join(host));
            }
        })?;
        Ok(Self { port, shared })
    }

    /// The port to dial.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// From now on it leads to this port of the same machine.
    pub(super) fn lead_to(&self, port: u16) {
        self.shared.target.store(port, Ordering::Release);
    }

    /// Nothing passes any more, in either direction, and new connections get no answer.
    pub(super) fn swallow(&self) {
        self.shared.is_black.store(true, Ordering::Release);
    }

    /// Bytes that came from the host since and went nowhere.
    pub(super) fn swallowed(&self) -> u64 {
        self.shared.swallowed.load(Ordering::Acquire)
    }
}

impl Drop for BlackHole {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes the listener; when that fails it ends with the process.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Way {
    fn join(self: Arc<Self>, host: TcpStream) {
        let target = SocketAddr::from(([127, 0, 0, 1], self.target.load(Ordering::Acquire)));
        if self.is_black.load(Ordering::Acquire) {
            return self.carry(host, None);
        }
        let Ok(relay) = TcpStream::connect(target) else { return };
        let (Ok(back_from), Ok(back_to)) = (relay.try_clone(), host.try_clone()) else { return };
        let way = Arc::clone(&self);
        // Without its other half the way is closed, and dialled again.
        let _ = thread::Builder::new()
            .name("way back".to_owned())
            .spawn(move || way.carry(back_from, Some(back_to)));
        self.carry(host, Some(relay));
    }

    /// Carries until either end is closed; a way that has turned black reads on and passes nothing.
    fn carry(&self, mut from: TcpStream, mut to: Option<TcpStream>) {
        // Without a time-out the end would not be noticed; the carrying itself does not need it.
        let _ = from.set_read_timeout(Some(LOOK_EVERY));
        let mut buffer = vec![0; 16 * 1024];
        while !self.is_over.load(Ordering::Acquire) {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    continue;
                }
                Err(_) => break,
            };
            if self.is_black.load(Ordering::Acquire) {
                self.swallowed.fetch_add(count as u64, Ordering::AcqRel);
                continue;
            }
            let passed = to.as_mut().map(|to| io::Write::write_all(to, &buffer[..count]));
            if passed.is_none_or(|passed| passed.is_err()) {
                break;
            }
        }
        if let Some(to) = to {
            // The other end may be gone already.
            let _ = to.shutdown(std::net::Shutdown::Both);
        }
    }
}

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
    fn a_way_passes_everything_until_it_swallows_everything() {
        let relay = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let way = BlackHole::open().unwrap();
        way.lead_to(relay.local_addr().unwrap().port());
        let mut host = TcpStream::connect(("127.0.0.1", way.port())).unwrap();
        let (mut guest, _) = relay.accept().unwrap();
        host.write_all(b"ping").unwrap();
        let mut four = [0; 4];
        guest.read_exact(&mut four).unwrap();
        guest.write_all(b"pong").unwrap();
        host.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"pong");
        way.swallow();
        host.write_all(b"lost").unwrap();
        while way.swallowed() < 4 {
            thread::yield_now();
        }
        guest.set_nonblocking(true).unwrap();
        assert_eq!(guest.read(&mut four).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

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

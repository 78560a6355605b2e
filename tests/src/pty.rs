//! The simulated printer behind a real pseudo-terminal in real time: a board that any host program can open.

mod intake;
mod serve;
#[cfg(test)]
mod tests;
mod uart;

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde::Serialize;

use self::intake::Intake;
use crate::printer::{LineDigest, Link, Percentiles, Printer, PrinterOptions, Statistics};
use crate::wire::LaneFaults;

/// Which openings of the port reset the board, as DTR does on boards with the reset capacitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetOnOpen {
    /// None (DTR is cut, or USB CDC).
    Never,
    /// The first one (the host clears HUPCL afterwards).
    First,
    /// Each one.
    Every,
}

/// How a board is put behind a terminal.
pub struct PtyOptions {
    /// The board. Its `speed` makes mechanics and heaters faster than life; the line always runs in real time.
    pub printer: PrinterOptions,
    /// Pace of the bytes towards the printer; `None` takes them as fast as the receive ring has room.
    pub uart_baud: Option<u32>,
    /// Which openings reset the board.
    pub reset_on_open: ResetOnOpen,
    /// Seed of the board's faults and of the damage.
    pub seed: u64,
    /// What happens to bytes on their way to the board.
    pub damage: LaneFaults,
    /// Gets the conversation: seconds, direction, text.
    pub log: Option<Box<dyn Write + Send>>,
}

impl PtyOptions {
    /// An AVR board at `baud` with an adapter that hands replies over 1 ms late.
    #[must_use]
    pub fn uart(baud: u32) -> Self {
        let printer =
            PrinterOptions { tx_baud: Some(baud), reply_latency_us: 1_000, ..PrinterOptions::default() };
        Self { printer, uart_baud: Some(baud), ..Self::instant() }
    }

    /// A board that is never the limit.
    #[must_use]
    pub fn instant() -> Self {
        let printer = PrinterOptions::instant();
        Self {
            printer,
            uart_baud: None,
            reset_on_open: ResetOnOpen::First,
            seed: 0,
            damage: LaneFaults::default(),
            log: None,
        }
    }

    /// The board of a profile, which is never the limit; `None` when there is no board for it. Boards that hang on USB or on a
    /// pseudo-terminal do not restart when the port is opened.
    #[must_use]
    pub fn of_profile(id: &str) -> Option<Self> {
        let printer = PrinterOptions::for_profile(id)?.unhurried();
        let resets = if printer.link == Link::Uart { ResetOnOpen::First } else { ResetOnOpen::Never };
        Some(Self { printer, reset_on_open: resets, ..Self::instant() })
    }
}

/// What other threads see of a running board and can do to it.
#[derive(Debug, Default)]
pub struct PtyControl {
    stop: AtomicBool,
    reset: AtomicBool,
    executed: AtomicU64,
    opens: AtomicU64,
    last_number: AtomicU64,
    starved_us: AtomicU64,
    moves: AtomicU64,
    intake: Intake,
}

impl PtyControl {
    /// Ends the board within a few milliseconds; whoever has the port open sees it vanish.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Pulls the reset line, as a power cut would.
    pub fn reset(&self) {
        self.reset.store(true, Ordering::Release);
    }

    /// Lines carried out so far.
    #[must_use]
    pub fn executed(&self) -> u64 {
        self.executed.load(Ordering::Acquire)
    }

    /// How often the port was opened.
    #[must_use]
    pub fn opens(&self) -> u64 {
        self.opens.load(Ordering::Acquire)
    }

    /// Moves that the planner has taken.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// How long the planner has stood empty before a further move came, in microseconds of the printer's own clock.
    #[must_use]
    pub fn starved_us(&self) -> u64 {
        self.starved_us.load(Ordering::Acquire)
    }

    /// The last line number that the firmware accepted.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.last_number.load(Ordering::Acquire)
    }
}

/// What a board says about its life.
#[derive(Debug, Clone, Serialize)]
pub struct PtyReport {
    /// How long it lived.
    pub seconds: f64,
    /// How often the port was opened.
    pub opens: u64,
    /// The board's own counters.
    pub statistics: Statistics,
    /// Times between accepted lines.
    pub line_gaps: Percentiles,
    /// The numbered commands as carried out.
    pub job_digest: LineDigest,
    /// Share of the time between the first and the last move in which the line towards the printer was busy.
    pub link_use: Option<f64>,
    /// Reply bytes that nobody read.
    pub unread_bytes: u64,
}

/// The end of a board: its report and the printer itself, with the lines it kept.
#[derive(Debug)]
pub struct PtyRun {
    /// The figures.
    pub report: PtyReport,
    /// The printer, for whoever wants to compare lines.
    pub printer: Printer,
}

/// A board that waits to be opened.
pub struct PtyPrinter {
    options: PtyOptions,
    master: Arc<OwnedFd>,
    path: PathBuf,
}

impl PtyPrinter {
    /// Opens a pair of terminals in raw mode; the host opens [`PtyPrinter::path`].
    ///
    /// # Errors
    /// When the system gives no terminal.
    pub fn open(options: PtyOptions) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        let mut terminal = tcgetattr(&master)?;
        terminal.make_raw();
        tcsetattr(&master, OptionalActions::Now, &terminal)?;
        fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
        // The master tells "closed" from "open" only after the other end has been open once.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        drop(rustix::fs::open(&path, flags, rustix::fs::Mode::empty())?);
        Ok(Self { options, master: Arc::new(master), path })
    }

    /// The device that a host opens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs the board on this thread until it is stopped.
    ///
    /// # Errors
    /// When the terminal or the log fails.
    pub fn run(self, control: &PtyControl) -> io::Result<PtyRun> {
        serve::Board::new(self.options, self.master).serve(control)
    }

    /// Runs the board on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(self) -> io::Result<PtyThread> {
        let (path, control) = (self.path.clone(), Arc::new(PtyControl::default()));
        let (shared, master) = (Arc::clone(&control), Arc::downgrade(&self.master));
        let thread = thread::Builder::new().name("pty-printer".into()).spawn(move || self.run(&shared))?;
        Ok(PtyThread { path, control, master, thread })
    }
}

/// A board that runs on a thread of its own.
pub struct PtyThread {
    path: PathBuf,
    control: Arc<PtyControl>,
    /// It vanishes with the board.
    master: Weak<OwnedFd>,
    thread: JoinHandle<io::Result<PtyRun>>,
}

impl PtyThread {
    /// The device that a host opens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The running board.
    #[must_use]
    pub fn control(&self) -> &Arc<PtyControl> {
        &self.control
    }

    /// Draws a border behind what was written to the port until now, see [`PtyThread::crossed`].
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn mark(&self) -> io::Result<()> {
        let master = self.master.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        Ok(self.control.intake.mark(&*master)?)
    }

    /// When the firmware accepted the first line that was written after the last [`PtyThread::mark`].
    #[must_use]
    pub fn crossed(&self) -> Option<Instant> {
        self.control.intake.crossed()
    }

    /// Stops the board and takes its report.
    ///
    /// # Errors
    /// When the board's terminal or log failed, or its thread panicked.
    pub fn finish(self) -> io::Result<PtyRun> {
        self.control.stop();
        self.thread.join().map_err(|_| io::Error::other("the board's thread panicked"))?
    }
}

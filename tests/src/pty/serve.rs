//! The board's loop: terminal to wire to printer, and replies back when their time has come.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};

use super::intake::Intake;
use super::uart::Uart;
use super::{PtyControl, PtyOptions, PtyReport, PtyRun, ResetOnOpen};
use crate::printer::Printer;
use crate::wire::{Lane, LaneOptions};

/// How long the loop sleeps at most, so that a stop is seen soon.
const LONGEST_SLEEP_US: u64 = 10_000;

/// How often a closed port is looked at.
const CLOSED_SLEEP: Duration = Duration::from_millis(1);

/// Reply bytes kept for a host that does not read; a real port drops them too.
const UNREAD_MAX: usize = 65_536;

/// The cable draws from a generator of its own.
const CABLE: u64 = 0x0063_6162_6c65;

/// One running board.
pub(super) struct Board {
    master: Arc<OwnedFd>,
    printer: Printer,
    /// Where bytes get damaged.
    cable: Lane,
    uart: Option<Uart>,
    uart_baud: Option<u32>,
    reset_on_open: ResetOnOpen,
    log: Option<Log>,
    started: Instant,
    replies: VecDeque<(u64, Vec<u8>)>,
    unwritten: Vec<u8>,
    is_open: bool,
    opens: u64,
    unread_bytes: u64,
}

impl Board {
    pub(super) fn new(options: PtyOptions, master: Arc<OwnedFd>) -> Self {
        Self {
            master,
            printer: Printer::new(options.printer, options.seed),
            cable: Lane::new(
                LaneOptions { faults: options.damage, ..LaneOptions::default() },
                options.seed ^ CABLE,
            ),
            uart: options.uart_baud.map(Uart::new),
            uart_baud: options.uart_baud,
            reset_on_open: options.reset_on_open,
            log: options.log.map(Log::new),
            started: Instant::now(),
            replies: VecDeque::new(),
            unwritten: Vec::new(),
            is_open: false,
            opens: 0,
            unread_bytes: 0,
        }
    }

    pub(super) fn serve(mut self, control: &PtyControl) -> io::Result<PtyRun> {
        while !control.stop.load(Ordering::Acquire) {
            if control.reset.swap(false, Ordering::AcqRel) {
                let now_us = self.now_us();
                self.printer.reset(now_us);
            }
            self.read(&control.intake)?;
            let now_us = self.now_us();
            self.carry(now_us);
            control.intake.advance(self.unread(), self.printer.statistics().lines_accepted);
            self.collect()?;
            self.write(now_us)?;
            control.executed.store(self.printer.executed_total(), Ordering::Release);
            control.last_number.store(self.printer.last_number().unsigned_abs(), Ordering::Release);
            let statistics = self.printer.statistics();
            control.starved_us.store(statistics.starved_us, Ordering::Release);
            control.moves.store(statistics.moves, Ordering::Release);
            control.opens.store(self.opens, Ordering::Release);
            self.sleep()?;
        }
        Ok(self.finish())
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes from the terminal what the wire, or without one the receive ring, has room for.
    fn read(&mut self, intake: &Intake) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        let room = self.uart.as_ref().map_or_else(|| self.printer.rx_room(), Uart::wants);
        let wanted = room.min(buffer.len());
        if wanted == 0 {
            return Ok(());
        }
        let got = match intake.read(&*self.master, &mut buffer[..wanted]) {
            Ok(got) => got,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            // The other end is closed and nothing it wrote is left.
            Err(Errno::IO) => 0,
            Err(other) => return Err(other.into()),
        };
        let now_us = self.now_us();
        self.cable.send(now_us, &buffer[..got]);
        let bytes = self.cable.deliver(now_us);
        match &mut self.uart {
            Some(uart) => uart.take(now_us, &bytes, wanted),
            None => self.printer.receive(now_us, &bytes),
        }
        self.log.as_mut().map_or(Ok(()), |log| log.heard(now_us, &bytes))
    }

    /// Lets the wire and the printer come up to now, every byte at its own time.
    fn carry(&mut self, now_us: u64) {
        if let Some(uart) = &mut self.uart {
            while let Some((at_us, byte)) = uart.pop(now_us) {
                self.printer.receive(at_us, &[byte]);
            }
        }
        self.printer.advance(now_us);
    }

    /// Bytes that were taken from the terminal and that the firmware has not read.
    fn unread(&self) -> usize {
        let ring = self.printer.options().rx_bytes.saturating_sub(1 + self.printer.rx_room());
        ring + self.uart.as_ref().map_or(0, Uart::len)
    }

    fn collect(&mut self) -> io::Result<()> {
        for (at_us, bytes) in self.printer.take_output() {
            if let Some(log) = &mut self.log {
                log.line(at_us, '<', &bytes)?;
            }
            self.replies.push_back((at_us, bytes));
        }
        Ok(())
    }

    /// Writes the replies whose time has come; without a listener they are gone.
    fn write(&mut self, now_us: u64) -> io::Result<()> {
        while let Some((_, bytes)) = self.replies.pop_front_if(|(at_us, _)| *at_us <= now_us) {
            if self.is_open && self.unwritten.len() < UNREAD_MAX {
                self.unwritten.extend_from_slice(&bytes);
            } else {
                self.unread_bytes += bytes.len() as u64;
            }
        }
        if self.unwritten.is_empty() {
            return Ok(());
        }
        match rustix::io::write(&*self.master, &self.unwritten) {
            Ok(written) => drop(self.unwritten.drain(..written)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::IO) => self.close(),
            Err(other) => return Err(other.into()),
        }
        Ok(())
    }

    /// Sleeps until bytes come, a reply is due or the printer has something to do.
    fn sleep(&mut self) -> io::Result<()> {
        let now_us = self.now_us();
        let due = [
            self.replies.front().map(|(at_us, _)| *at_us),
            self.printer.next_wake_us(),
            self.uart.as_ref().and_then(Uart::next_wake_us),
        ];
        let wake_us = due.into_iter().flatten().min().unwrap_or(u64::MAX);
        let sleep_us = wake_us.saturating_sub(now_us).min(LONGEST_SLEEP_US);
        let mut interest = PollFlags::empty();
        if self.uart.as_ref().map_or_else(|| self.printer.rx_room(), Uart::wants) > 0 {
            interest |= PollFlags::IN;
        }
        if !self.unwritten.is_empty() {
            interest |= PollFlags::OUT;
        }
        if !self.is_open {
            // A closed terminal makes poll return at once.
            thread::sleep(CLOSED_SLEEP.min(Duration::from_micros(sleep_us)));
        }
        let nanoseconds = if self.is_open { sleep_us * 1_000 } else { 0 };
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::try_from(nanoseconds).unwrap_or(i64::MAX) };
        let mut watched = [PollFd::new(&*self.master, interest)];
        match poll(&mut watched, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
        let closed = watched[0].revents().contains(PollFlags::HUP);
        match (self.is_open, closed) {
            (false, false) => self.opened(),
            (true, true) => self.close(),
            _ => {}
        }
        Ok(())
    }

    fn opened(&mut self) {
        self.is_open = true;
        self.opens += 1;
        let resets = match self.reset_on_open {
            ResetOnOpen::Never => false,
            ResetOnOpen::First => self.opens == 1,
            ResetOnOpen::Every => true,
        };
        if resets {
            let now_us = self.now_us();
            self.printer.reset(now_us);
        }
    }

    /// The host closed the port: what it has not read is gone, as with a real one.
    fn close(&mut self) {
        self.is_open = false;
        self.unread_bytes += self.unwritten.len() as u64;
        self.unwritten.clear();
        // A failure leaves stale bytes for the next host, which must live with them on real ports too.
        let _ = tcflush(&*self.master, QueueSelector::OFlush);
    }

    fn finish(mut self) -> PtyRun {
        let now_us = self.now_us();
        self.carry(now_us);
        let printer = self.printer;
        let report = PtyReport {
            seconds: now_us as f64 / 1e6,
            opens: self.opens,
            statistics: printer.statistics().clone(),
            line_gaps: printer.line_gaps().percentiles(),
            job_digest: printer.job_digest(),
            link_use: self.uart_baud.and_then(|baud| printer.statistics().link_use(baud)),
            unread_bytes: self.unread_bytes,
        };
        PtyRun { report, printer }
    }
}

/// The conversation as text.
struct Log {
    out: Box<dyn Write + Send>,
    partial: Vec<u8>,
}

impl Log {
    fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, partial: Vec::new() }
    }

    fn heard(&mut self, now_us: u64, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            if byte != b'\n' && self.partial.len() < 4_096 {
                self.partial.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.partial);
            self.line(now_us, '>', &line)?;
        }
        Ok(())
    }

    fn line(&mut self, at_us: u64, direction: char, bytes: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(bytes.trim_ascii_end());
        writeln!(self.out, "{:>9.3} {direction} {text}", at_us as f64 / 1e6)
    }
}

//! How each firmware turns a line down and asks for it again.

use super::line::{Refusal, leading_integer};
use super::{Printer, Protection};

/// Wrong lines that Repetier skips after a request, less one (`waitingForResend` of `gcode.cpp`).
const REPETIER_SKIPS: u32 = 14;
/// Repetier asks when a line, or what it asked for, does not go on for so long.
const REPETIER_PATIENCE_US: u64 = 200_000;

impl Printer {
    /// A line was not accepted.
    pub(super) fn refuse(&mut self, refusal: Refusal, raw: &[u8]) {
        let last = self.counter.last;
        match self.options.dialect.protection {
            Protection::Marlin => {
                self.due.resend = true;
                self.print(&format!("Error:{}, Last Line: {last}", refusal.text()));
            }
            Protection::Repetier => {
                let text = match refusal {
                    Refusal::LineNumber => format!("Error:expected line {} got {}", last + 1, number_of(raw)),
                    Refusal::Format => "Error:Format error".to_owned(),
                    _ => "Error:Wrong checksum".to_owned(),
                };
                self.print(&text);
                self.ask_repetier();
            }
            Protection::Smoothieware => self.ask_smoothieware(),
            Protection::Teacup => {
                let star = raw.iter().rposition(|&byte| byte == b'*').unwrap_or(raw.len());
                let sum = raw[..star].iter().fold(0, |sum, byte| sum ^ byte);
                self.statistics.resends += 1;
                self.print(&format!("rs N{} Expected checksum {sum}", last + 1));
                self.print_ok("ok");
            }
            Protection::RepRapFirmware | Protection::Klipper | Protection::Plain => {
                unreachable!("these drop a line or take it, and never ask")
            }
        }
    }

    /// A request although nothing was wrong, in the firmware's own way; the others never ask.
    pub(super) fn ask_without_reason(&mut self) {
        match self.options.dialect.protection {
            Protection::Marlin => self.due.resend = true,
            Protection::Repetier => self.ask_repetier(),
            Protection::Smoothieware => self.ask_smoothieware(),
            _ => {}
        }
    }

    /// The error line has left at wire speed; whatever came meanwhile goes too, and so does a line that is half here.
    pub(super) fn flush_and_ask(&mut self) {
        self.due.resend = false;
        self.statistics.rx_flushed += self.ring.flush() as u64;
        self.line.clear();
        self.statistics.resends += 1;
        self.print(&format!("Resend: {}", self.counter.last + 1));
        self.print_ok("ok");
    }

    fn ask_repetier(&mut self) {
        self.line.clear();
        self.counter.to_skip = Some(REPETIER_SKIPS);
        self.statistics.resends += 1;
        self.print("");
        self.print(&format!("Resend:{}", self.counter.last + 1));
        self.print_ok("ok");
    }

    fn ask_smoothieware(&mut self) {
        self.statistics.resends += 1;
        self.print(&format!("rs N{}", self.counter.last + 1));
    }

    /// Said of a line that is known already or is garbage behind a request.
    pub(super) fn skip(&mut self, number: i64) {
        let behind = (self.counter.last as u16).wrapping_sub(number as u16);
        if behind >= 40 {
            self.counter.to_skip = self.counter.to_skip.and_then(|left| left.checked_sub(1));
        }
        self.print(&format!("skip {number}"));
        self.print_ok("ok");
    }

    /// When Repetier no longer waits for the rest of a line, or for the line that it asked for.
    pub(super) fn given_up_at_us(&self) -> u64 {
        let waits = self.options.dialect.protection == Protection::Repetier
            && (self.counter.to_skip.is_some() || !self.line.bytes().is_empty());
        if !waits || self.queued() >= self.options.queue_lines {
            return u64::MAX;
        }
        (self.last_byte_us + REPETIER_PATIENCE_US).max(self.asked_again_us)
    }

    /// Asks once more.
    pub(super) fn give_up_waiting(&mut self) {
        self.asked_again_us = self.clock_us + REPETIER_PATIENCE_US;
        self.ask_repetier();
    }
}

/// The number that Repetier names in its complaint.
fn number_of(raw: &[u8]) -> i64 {
    raw.strip_prefix(b"N").map_or(0, leading_integer)
}

//! What the printer did, in order: kept lines, a digest over all of them, and a sink for those who compare as they come.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// One line that the printer carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The line number that the firmware went by, if the line had one.
    pub number: Option<i64>,
    /// The whole line as the firmware had it: comment gone, number and checksum still there, no line end.
    pub raw: Vec<u8>,
    /// When the command began, or a move entered the planner.
    pub at_us: u64,
    /// How warm the nozzle was then, in hundredths of a degree Celsius.
    pub hotend_centi_c: i32,
    /// How warm the bed was then, in hundredths of a degree Celsius.
    pub bed_centi_c: i32,
    pub(crate) command: Range<usize>,
}

impl Executed {
    /// A line without number or checksum, carried out at the beginning of time.
    #[must_use]
    pub fn bare(command: &[u8], hotend_centi_c: i32, bed_centi_c: i32) -> Self {
        let raw = command.to_vec();
        Self { number: None, command: 0..raw.len(), raw, at_us: 0, hotend_centi_c, bed_centi_c }
    }

    /// The command without number and checksum.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.raw[self.command.clone()]
    }
}

/// Gets every executed line as it happens.
pub trait ExecutedSink: Send {
    /// One more line was carried out.
    fn executed(&mut self, line: &Executed);
}

impl<F: FnMut(&Executed) + Send> ExecutedSink for F {
    fn executed(&mut self, line: &Executed) {
        self(line);
    }
}

/// A running fingerprint (64-bit FNV-1a) of lines in order; two equal digests are two equal jobs for any practical test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LineDigest {
    value: u64,
    lines: u64,
}

impl LineDigest {
    /// The digest of no lines.
    #[must_use]
    pub fn new() -> Self {
        Self { value: 0xcbf2_9ce4_8422_2325, lines: 0 }
    }

    /// Adds one line, given without its line end.
    pub fn add(&mut self, line: &[u8]) {
        for &byte in line.iter().chain(b"\n") {
            self.value = (self.value ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.lines += 1;
    }

    /// How many lines went in.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }
}

impl Default for LineDigest {
    fn default() -> Self {
        Self::new()
    }
}

/// The printer's diary.
pub(crate) struct Record {
    kept: Vec<Executed>,
    keep: usize,
    total: u64,
    job: LineDigest,
    sink: Option<Box<dyn ExecutedSink>>,
}

impl Record {
    pub(crate) fn new(keep: usize) -> Self {
        Self { kept: Vec::new(), keep, total: 0, job: LineDigest::new(), sink: None }
    }

    pub(crate) fn set_sink(&mut self, sink: Box<dyn ExecutedSink>) {
        self.sink = Some(sink);
    }

    /// Writes a line down.
    pub(crate) fn add(&mut self, line: Executed) {
        self.total += 1;
        if is_of_job(&line) {
            self.job.add(line.text());
        }
        if let Some(sink) = &mut self.sink {
            sink.executed(&line);
        }
        if self.kept.len() < self.keep {
            self.kept.push(line);
        }
    }

    /// Forgets the newest lines as far as they are numbered moves, at most so many; says how many it were. Lines that were
    /// given to a sink or not kept are out of reach.
    pub(crate) fn take_back(&mut self, most: usize) -> usize {
        if self.sink.is_some() || self.kept.len() as u64 != self.total {
            return 0;
        }
        let newest = self.kept.iter().rev().take(most);
        let moves = newest.take_while(|line| line.number.is_some() && is_move(line.text())).count();
        self.kept.truncate(self.kept.len() - moves);
        self.total = self.kept.len() as u64;
        self.job = LineDigest::new();
        for line in self.kept.iter().filter(|line| is_of_job(line)) {
            self.job.add(line.text());
        }
        moves
    }

    pub(crate) fn kept(&self) -> &[Executed] {
        &self.kept
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn job(&self) -> LineDigest {
        self.job
    }
}

fn is_of_job(line: &Executed) -> bool {
    line.number.is_some() && !line.text().starts_with(b"M110")
}

fn is_move(text: &[u8]) -> bool {
    matches!(text, [b'G', b'0'..=b'3', rest @ ..] if !rest.first().is_some_and(u8::is_ascii_digit))
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("total", &self.total).field("job", &self.job).finish_non_exhaustive()
    }
}

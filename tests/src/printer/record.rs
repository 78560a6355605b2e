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
    pub(crate) command: Range<usize>,
}

impl Executed {
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
        let text = line.text();
        if line.number.is_some() && !text.starts_with(b"M110") {
            self.job.add(text);
        }
        if let Some(sink) = &mut self.sink {
            sink.executed(&line);
        }
        if self.kept.len() < self.keep {
            self.kept.push(line);
        }
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

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("total", &self.total).field("job", &self.job).finish_non_exhaustive()
    }
}

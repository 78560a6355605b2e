//! From bytes to an accepted line: comment stripping, the number and the checksum, in Marlin's order.
//!
//! The rules are those of `GCodeQueue::get_serial_commands` in Marlin 2.0.9 (`queue.cpp`), written anew here and not
//! taken from the host's code: this is the independent check of what the host sends.

use std::ops::Range;

use super::options::{Duplicates, StarWithoutNumber};

/// How the next character of a line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Plain,
    AfterBackslash,
    SkippingRest,
}

/// What one more byte made of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It goes on.
    More,
    /// It ended, and nothing but a comment was in it.
    Blank,
    /// It ended.
    Line,
}

/// The line that is being received.
#[derive(Debug)]
pub(crate) struct LineBuffer {
    bytes: Vec<u8>,
    limit: usize,
    reading: Reading,
}

impl LineBuffer {
    /// A buffer for lines below `max_line_bytes`.
    pub(crate) fn new(max_line_bytes: usize) -> Self {
        let limit = max_line_bytes.max(2) - 1;
        Self { bytes: Vec::with_capacity(limit), limit, reading: Reading::Plain }
    }

    /// Takes one byte.
    pub(crate) fn take(&mut self, byte: u8) -> Taken {
        if byte == b'\n' || byte == b'\r' {
            self.reading = Reading::Plain;
            return if self.bytes.is_empty() { Taken::Blank } else { Taken::Line };
        }
        match (self.reading, byte) {
            (Reading::SkippingRest, _) => {}
            (Reading::Plain, b';') => self.reading = Reading::SkippingRest,
            (Reading::Plain, b'\\') => self.reading = Reading::AfterBackslash,
            _ => {
                self.reading = Reading::Plain;
                self.bytes.push(byte);
                if self.bytes.len() >= self.limit {
                    self.reading = Reading::SkippingRest;
                }
            }
        }
        Taken::More
    }

    /// The finished line.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes room for the next line.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.reading = Reading::Plain;
    }
}

/// Why a line was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    LineNumber,
    Checksum,
    NoChecksum,
    NoLineNumber,
    Format,
}

impl Refusal {
    /// The firmware's words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::LineNumber => "Line Number is not Last Line Number+1",
            Self::Checksum => "checksum mismatch",
            Self::NoChecksum => "No Checksum with line number",
            Self::NoLineNumber => "No Line Number with checksum",
            Self::Format => "Format error",
        }
    }
}

/// What the firmware makes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes into the queue; a number becomes the last line number.
    Accepted(Option<i64>),
    /// Error, flush, resend.
    Refused(Refusal),
    /// Dropped without a word.
    Silent,
    /// Known already, or garbage behind a request: dropped, but said so.
    Skipped(i64),
    /// It only sets the line number.
    Counted(i64),
    /// Nothing that the firmware would call a command.
    NoCommand,
}

/// Judges a line against the last accepted number.
pub(crate) fn judge(raw: &[u8], last: i64, star: StarWithoutNumber, duplicates: Duplicates) -> Verdict {
    let line = trim_left(until_nul(raw));
    if line.first() != Some(&b'N') {
        return match star {
            StarWithoutNumber::Refused if line.contains(&b'*') => Verdict::Refused(Refusal::NoLineNumber),
            _ => Verdict::Accepted(None),
        };
    }
    let sets_number = line.windows(4).any(|w| w == b"M110");
    let second = || line.iter().skip(4).position(|&b| b == b'N').map(|at| at + 4);
    let number_at = if sets_number { second().unwrap_or(0) } else { 0 };
    let number = leading_integer(&line[number_at + 1..]);
    if number != last + 1 && !sets_number {
        return match duplicates {
            Duplicates::Silent if (last - 1..=last).contains(&number) => Verdict::Silent,
            _ => Verdict::Refused(Refusal::LineNumber),
        };
    }
    match line.iter().rposition(|&b| b == b'*') {
        None => Verdict::Refused(Refusal::NoChecksum),
        Some(star_at) => {
            let sum = line[..star_at].iter().fold(0, |sum, b| sum ^ b);
            if leading_integer(&line[star_at + 1..]) == i64::from(sum) {
                Verdict::Accepted(Some(number))
            } else {
                Verdict::Refused(Refusal::Checksum)
            }
        }
    }
}

/// Where the command stands in an accepted line: behind the number, before the checksum (`GCodeParser::parse`).
pub(crate) fn command_range(raw: &[u8]) -> Range<usize> {
    let mut end = until_nul(raw).len();
    let space = |at: usize| raw[at] == b' ';
    let mut start = 0;
    while start < end && space(start) {
        start += 1;
    }
    let digit = |at: usize| raw[at].is_ascii_digit();
    if end - start >= 2 && raw[start] == b'N' && (digit(start + 1) || b"+-".contains(&raw[start + 1])) {
        start += 2;
        while start < end && digit(start) {
            start += 1;
        }
        while start < end && space(start) {
            start += 1;
        }
    }
    if let Some(star) = raw[start..end].iter().position(|&b| b == b'*') {
        end = start + star;
        while end > start && space(end - 1) {
            end -= 1;
        }
    }
    start..end
}

fn until_nul(raw: &[u8]) -> &[u8] {
    raw.split(|&b| b == 0).next().unwrap_or(raw)
}

fn trim_left(line: &[u8]) -> &[u8] {
    let spaces = line.iter().take_while(|&&b| b == b' ').count();
    &line[spaces..]
}

/// `strtol`: blanks, a sign, digits; whatever follows is ignored and nothing at all is zero.
pub(crate) fn leading_integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let value = digits
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0i64, |value, b| (value * 10 + i64::from(b - b'0')).min(i64::from(i32::MAX)));
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(line: &str, last: i64) -> Verdict {
        judge(line.as_bytes(), last, StarWithoutNumber::Ignored, Duplicates::Refused)
    }

    #[test]
    fn the_order_is_number_then_sum_then_missing_sum() {
        assert_eq!(verdict("N1 M105*38", 0), Verdict::Accepted(Some(1)));
        assert_eq!(verdict("N2 M105*99", 1), Verdict::Refused(Refusal::Checksum));
        assert_eq!(verdict("N2 M105", 1), Verdict::Refused(Refusal::NoChecksum));
        assert_eq!(verdict("N9 M105", 3), Verdict::Refused(Refusal::LineNumber));
        assert_eq!(verdict("N3 M105*1", 3), Verdict::Refused(Refusal::LineNumber));
        assert_eq!(verdict("M105*7", 3), Verdict::Accepted(None));
        assert_eq!(verdict("N3 M105 *4", 2), Verdict::Accepted(Some(3)));
    }

    #[test]
    fn m110_skips_the_sequence_and_takes_the_trailing_number() {
        assert_eq!(verdict("N1 M110 N0*124", 77), Verdict::Accepted(Some(0)));
        assert_eq!(verdict("N5 M110*38", 77), Verdict::Accepted(Some(5)));
        assert_eq!(verdict("N1 M110 N0*1", 77), Verdict::Refused(Refusal::Checksum));
    }

    #[test]
    fn other_generations_differ_in_stars_and_duplicates() {
        let old = judge(b"M105*7", 3, StarWithoutNumber::Refused, Duplicates::Refused);
        assert_eq!(old, Verdict::Refused(Refusal::NoLineNumber));
        let new = |line: &[u8]| judge(line, 9, StarWithoutNumber::Ignored, Duplicates::Silent);
        assert_eq!(new(b"N9 M105*1"), Verdict::Silent);
        assert_eq!(new(b"N8 M105*1"), Verdict::Silent);
        assert_eq!(new(b"N7 M105*1"), Verdict::Refused(Refusal::LineNumber));
    }

    #[test]
    fn the_command_loses_its_number_and_sum() {
        let command = |raw: &'static str| &raw[command_range(raw.as_bytes())];
        assert_eq!(command("N3 G1 X1 *4"), "G1 X1");
        assert_eq!(command("  M105*7"), "M105");
        assert_eq!(command("n3 m105*36"), "n3 m105");
        assert_eq!(command("N5"), "");
    }

    #[test]
    fn comments_escapes_and_long_lines_are_cut() {
        let read = |text: &str| {
            let mut buffer = LineBuffer::new(16);
            let ended = text.bytes().any(|b| buffer.take(b) == Taken::Line);
            (ended, String::from_utf8_lossy(buffer.bytes()).into_owned())
        };
        assert_eq!(read("M117 a ; b\n"), (true, "M117 a ".into()));
        assert_eq!(read("; only\n"), (false, String::new()));
        assert_eq!(read("M117 \\; b\r"), (true, "M117 ; b".into()));
        assert_eq!(read("0123456789abcdefgh\n"), (true, "0123456789abcde".into()));
    }
}

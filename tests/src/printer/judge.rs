//! What each firmware makes of a whole line: accepted, refused, skipped or not heard at all.

use super::dialect::{Dialect, Protection};
use super::line::{Refusal, Verdict, command_range, judge, leading_integer};
use super::options::PrinterOptions;

/// Lines that lie at most so far behind are taken for repetitions (`gcode.cpp` of Repetier).
const REPETIER_BEHIND: u16 = 40;

/// What a firmware remembers of the numbers that it has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counter {
    /// Number of the last accepted line.
    pub(super) last: i64,
    /// Wrong lines that are still skipped after a request, less one; only Repetier does that.
    pub(super) to_skip: Option<u32>,
}

/// A line taken apart: its number, its command, and the sums that it carries and that it should carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    number: Option<i64>,
    carries: Option<i64>,
    should_carry: i64,
    counts: Option<i64>,
    is_command: bool,
}

/// Judges a line by the rules of its firmware.
pub(super) fn verdict(raw: &[u8], counter: Counter, options: &PrinterOptions) -> Verdict {
    let parts = parts(raw);
    match options.dialect.protection {
        Protection::Marlin => judge(raw, counter.last, options.star_without_number, options.duplicates),
        Protection::Repetier => repetier(parts, counter),
        Protection::Smoothieware => smoothieware(raw, parts, counter.last),
        Protection::RepRapFirmware => match parts {
            Parts { carries: Some(sum), should_carry, .. } if sum != should_carry => Verdict::Silent,
            Parts { number: Some(_), carries: None, .. } => Verdict::Silent,
            parts => Verdict::Accepted(parts.number),
        },
        Protection::Teacup => match parts.carries {
            Some(sum) if sum != parts.should_carry => Verdict::Refused(Refusal::Checksum),
            _ => Verdict::Accepted(parts.number),
        },
        Protection::Klipper => Verdict::Accepted(parts.number),
        Protection::Plain => plain(raw, options.dialect),
    }
}

fn repetier(parts: Parts, counter: Counter) -> Verdict {
    if parts.carries.is_some_and(|sum| sum != parts.should_carry) {
        return Verdict::Refused(Refusal::Checksum);
    }
    if !parts.is_command {
        return Verdict::Refused(Refusal::Format);
    }
    let Some(number) = parts.number else { return Verdict::Accepted(None) };
    if let Some(number) = parts.counts {
        return Verdict::Counted(number);
    }
    if (counter.last + 1) as u16 == number as u16 {
        return Verdict::Accepted(Some(number));
    }
    let behind = (counter.last as u16).wrapping_sub(number as u16);
    match counter.to_skip {
        _ if behind < REPETIER_BEHIND => Verdict::Skipped(number),
        Some(_) => Verdict::Skipped(number),
        _ => Verdict::Refused(Refusal::LineNumber),
    }
}

fn smoothieware(raw: &[u8], parts: Parts, last: i64) -> Verdict {
    if !matches!(raw.first(), Some(b'N' | b'G' | b'M' | b'T' | b'S')) {
        return Verdict::NoCommand;
    }
    let Some(number) = parts.number.filter(|_| raw.first() == Some(&b'N')) else {
        return Verdict::Accepted(None);
    };
    if let Some(number) = parts.counts {
        return Verdict::Counted(number);
    }
    let sum_fits = parts.carries.is_none_or(|sum| sum == parts.should_carry);
    if sum_fits && number == last + 1 {
        Verdict::Accepted(Some(number))
    } else {
        Verdict::Refused(if sum_fits { Refusal::LineNumber } else { Refusal::Checksum })
    }
}

fn plain(raw: &[u8], dialect: &Dialect) -> Verdict {
    match (dialect.lead, raw.split_first()) {
        (Some(lead), Some((first, rest))) if lead == *first && starts_command(rest) => {
            Verdict::Accepted(None)
        }
        (Some(_), _) => Verdict::Silent,
        (None, Some((b'$', _))) => Verdict::Accepted(None),
        (None, _) if starts_command(raw) => Verdict::Accepted(None),
        (None, _) => Verdict::NoCommand,
    }
}

fn starts_command(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'G' | b'M' | b'T'))
}

/// Where the command stands in an accepted line.
pub(super) fn command_of(raw: &[u8], dialect: &Dialect) -> std::ops::Range<usize> {
    match dialect.protection {
        Protection::Plain => {
            let start = usize::from(dialect.lead.is_some() && dialect.lead == raw.first().copied());
            start..raw.trim_ascii_end().len().max(start)
        }
        _ => command_range(raw),
    }
}

fn parts(raw: &[u8]) -> Parts {
    let star = raw.iter().rposition(|&byte| byte == b'*');
    let body = &raw[..star.unwrap_or(raw.len())];
    let number = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit).then(|| leading_integer(text));
    let leading = body.trim_ascii_start().strip_prefix(b"N").and_then(number);
    let command = &raw[command_range(raw)];
    // `M1106` is another command.
    let sets_counter =
        command.strip_prefix(b"M110").is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit));
    let counts = leading.filter(|_| sets_counter);
    let trailing = command.iter().position(|&byte| byte == b'N').and_then(|at| number(&command[at + 1..]));
    Parts {
        number: leading,
        carries: star.map(|at| leading_integer(&raw[at + 1..])),
        should_carry: i64::from(body.iter().fold(0, |sum, byte| sum ^ byte)),
        counts: counts.map(|leading| trailing.unwrap_or(leading)),
        is_command: starts_command(command),
    }
}

//! Damage that got past the firmware's protection: executed lines that the host never wrote.

use std::collections::HashSet;

use super::line::{Verdict, command_range, judge};
use super::options::{Duplicates, StarWithoutNumber};
use super::record::Executed;

/// How a damaged line came to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SurvivorKind {
    /// The number and the 8-bit checksum both fit although the text is another one.
    XorCollision,
    /// The number was lost on the wire, or the line is the tail of one whose head the firmware flushed.
    Unnumbered,
    /// The damage hit only what the firmware does not look at; number and command are those of a frame.
    SameMeaning,
}

/// An executed line that is not byte-equal to anything the host wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// How it came through.
    pub kind: SurvivorKind,
    /// The line as it was carried out.
    pub line: Executed,
}

/// Lists the survivors among `executed`, given every frame (whole line without its line end) that the host wrote.
#[must_use]
pub fn survivors<'a>(frames: impl IntoIterator<Item = &'a [u8]>, executed: &[Executed]) -> Vec<Survivor> {
    let mut written: HashSet<&[u8]> = HashSet::new();
    let mut meant: HashSet<(Option<i64>, &[u8])> = HashSet::new();
    for frame in frames {
        if written.insert(frame) {
            meant.insert((number_of(frame), &frame[command_range(frame)]));
        }
    }
    executed
        .iter()
        .filter(|line| !written.contains(line.raw.as_slice()))
        .map(|line| Survivor { kind: kind_of(line, &meant), line: line.clone() })
        .collect()
}

fn kind_of(line: &Executed, meant: &HashSet<(Option<i64>, &[u8])>) -> SurvivorKind {
    match line.number {
        _ if meant.contains(&(line.number, line.text())) => SurvivorKind::SameMeaning,
        Some(_) => SurvivorKind::XorCollision,
        None => SurvivorKind::Unnumbered,
    }
}

/// The number an undamaged frame carries: what the firmware would take if it expected just that.
fn number_of(frame: &[u8]) -> Option<i64> {
    let digits = frame.strip_prefix(b"N")?;
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    let number = std::str::from_utf8(&digits[..end]).ok()?.parse::<i64>().ok()?;
    match judge(frame, number - 1, StarWithoutNumber::Ignored, Duplicates::Refused) {
        Verdict::Accepted(number) => number,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executed(raw: &str, number: Option<i64>) -> Executed {
        Executed { number, command: command_range(raw.as_bytes()), ..Executed::bare(raw.as_bytes(), 0, 0) }
    }

    #[test]
    fn each_kind_is_told_from_the_others() {
        let frames: [&[u8]; 4] = [b"N1 G1 X1*96", b"N2 G1 X2*96", b"N3 G1 X3*96", b"M105"];
        let lines = [
            executed("N1 G1 X1*96", Some(1)),
            executed("N2 G1 Y3*96", Some(2)),
            executed("N3 G1 X3*96~", Some(3)),
            executed("X3*96", None),
            executed("M105", None),
        ];
        let found = survivors(frames, &lines);
        let kinds: Vec<_> = found.iter().map(|s| s.kind).collect();
        assert_eq!(kinds, [SurvivorKind::XorCollision, SurvivorKind::SameMeaning, SurvivorKind::Unnumbered]);
    }
}

//! Half a line that a process that has died may have left in the firmware's buffer: what its bytes come to, as far as it is known.
//!
//! The question where the firmware stands is appended to it, and has to be refused all the same. Its checksum is above 255, so
//! firmwares that compare numbers refuse it whatever stands before. Some keep the lowest eight bits only (Repetier
//! `gcode.cpp`, Smoothieware `GcodeDispatch.cpp`): for them it is chosen so that no half line fits.

use crate::pack::{Pack, Unpack};

/// The text of the question, ahead of its checksum.
const TEXT: &[u8] = b"N500";
/// The checksum, unless a half line would fit it.
const USUAL: u16 = 999;

/// What the bytes of a line so far can come to when all are combined by exclusive or.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loose {
    sums: [u64; 4],
    /// The checksum of the question that was asked last.
    asked: u16,
}

impl Default for Loose {
    /// No half line.
    fn default() -> Self {
        Self { sums: [1, 0, 0, 0], asked: USUAL }
    }
}

impl Loose {
    /// One of these lines may have been cut anywhere, behind what was loose before.
    pub(super) fn add_cuts<'l>(&mut self, lines: impl Iterator<Item = &'l [u8]>) {
        let before = *self;
        for line in lines {
            let mut sum = 0;
            for &byte in line.iter().take_while(|&&byte| byte != b'\n') {
                sum ^= byte;
                (0..=u8::MAX).filter(|&value| before.has(value)).for_each(|value| self.add(value ^ sum));
            }
        }
    }

    /// The question that was asked last may have been cut anywhere, or not have been asked at all.
    pub(super) fn add_question(&mut self) {
        let line = question(self.asked);
        self.add_cuts(std::iter::once(line.as_slice()));
    }

    /// Either of both.
    pub(super) fn merge(&mut self, other: &Self) {
        self.sums.iter_mut().zip(other.sums).for_each(|(sums, other)| *sums |= other);
    }

    /// The question, such that nothing that may stand before it makes it fit.
    pub(super) fn ask(&mut self) -> Vec<u8> {
        let text = TEXT.iter().fold(0, |sum, byte| sum ^ byte);
        let fits = |checksum: u16| self.has(checksum as u8 ^ text);
        self.asked = std::iter::once(USUAL).chain(256..512).find(|&sum| !fits(sum)).unwrap_or(USUAL);
        question(self.asked)
    }

    fn has(&self, value: u8) -> bool {
        self.sums[usize::from(value >> 6)] >> (value & 63) & 1 == 1
    }

    fn add(&mut self, value: u8) {
        self.sums[usize::from(value >> 6)] |= 1 << (value & 63);
    }

    pub(super) fn pack(&self, to: &mut Pack<'_>) {
        self.sums.iter().for_each(|&sums| to.u64(sums));
        to.u32(u32::from(self.asked));
    }

    pub(super) fn unpack(from: &mut Unpack<'_>) -> Option<Self> {
        let mut sums = [0; 4];
        for part in &mut sums {
            *part = from.u64()?;
        }
        Some(Self { sums, asked: u16::try_from(from.u32()?).ok()? })
    }
}

fn question(checksum: u16) -> Vec<u8> {
    let mut line = TEXT.to_vec();
    line.extend_from_slice(format!("*{checksum}\n").as_bytes());
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcode::checksum;

    const LINES: [&[u8]; 2] = [b"N1097 G1 X161.530 Y54.753 E98.449 F5975*12\n", b"N1098 M105*7\n"];

    /// Whether a firmware that keeps eight bits of a checksum would take it.
    fn fits(line: &[u8]) -> bool {
        let star = line.iter().rposition(|&byte| byte == b'*').unwrap();
        let told: u16 = std::str::from_utf8(&line[star + 1..]).unwrap().trim_end().parse().unwrap();
        checksum(&line[..star]) == told as u8
    }

    fn cuts(line: &[u8]) -> impl Iterator<Item = &[u8]> {
        (0..line.len()).map(|end| &line[..end])
    }

    #[test]
    fn nothing_loose_is_the_usual_question() {
        assert_eq!(Loose::default().ask(), super::super::plan::PROBE);
    }

    #[test]
    fn no_cut_of_a_line_makes_the_question_fit() {
        let mut loose = Loose::default();
        loose.add_cuts(LINES.into_iter());
        let question = loose.ask();
        for cut in LINES.into_iter().flat_map(cuts) {
            assert!(!fits(&[cut, &question].concat()), "{:?}", String::from_utf8_lossy(cut));
        }
        // The usual one would fit behind one cut or another of enough lines.
        let lines: Vec<String> = (0..99).map(|n| format!("N{} G1 X{n}.5 Y7 E{n}.25*9\n", 1000 + n)).collect();
        let all = || lines.iter().flat_map(|line| cuts(line.as_bytes()));
        assert!(all().any(|cut| fits(&[cut, super::super::plan::PROBE].concat())));
    }

    #[test]
    fn a_question_that_was_cut_itself_is_reckoned_with() {
        let mut loose = Loose::default();
        loose.add_cuts(std::iter::once(LINES[1]));
        let first = loose.ask();
        loose.add_question();
        let second = loose.ask();
        for cut in cuts(LINES[1]) {
            for of_question in cuts(&first) {
                assert!(!fits(&[cut, of_question, &second].concat()));
            }
        }
    }
}

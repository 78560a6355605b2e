//! The words of a command: a quick way for the moves that make up nearly all of a file, and a patient one for the rest.

use super::number::number;

/// Letters that are kept, by these places.
const LETTERS: [u8; 10] = *b"XYZEFIJRSP";
/// Place of a letter.
pub(super) const X: usize = 0;
pub(super) const Y: usize = 1;
pub(super) const Z: usize = 2;
pub(super) const E: usize = 3;
pub(super) const F: usize = 4;
pub(super) const I: usize = 5;
pub(super) const J: usize = 6;
pub(super) const R: usize = 7;
pub(super) const S: usize = 8;
pub(super) const P: usize = 9;
/// No such place.
const NONE: u8 = u8::MAX;

/// From a byte to the place of its letter.
static PLACES: [u8; 256] = {
    let mut places = [NONE; 256];
    let mut at = 0;
    while at < LETTERS.len() {
        places[LETTERS[at] as usize] = at as u8;
        at += 1;
    }
    places
};

/// The numbers behind the letters of a command.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Words {
    given: u16,
    values: [f64; LETTERS.len()],
}

impl Words {
    /// The number behind a letter.
    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<f64> {
        self.has(place).then(|| self.values[place])
    }

    /// The number behind a letter, whatever it is when there is none.
    #[inline]
    pub(super) fn value(&self, place: usize) -> f64 {
        self.values[place]
    }

    #[inline]
    pub(super) fn has(&self, place: usize) -> bool {
        self.given & 1 << place != 0
    }

    /// Whether one of X, Y and Z is given.
    #[inline]
    pub(super) fn has_axis(&self) -> bool {
        self.given & 0b111 != 0
    }

    #[inline]
    fn set(&mut self, place: usize, value: f64) {
        self.given |= 1 << place;
        self.values[place] = value;
    }

    /// The words of a command's rest; letters that are not kept, or have no number, are passed over.
    pub(super) fn of(mut rest: &[u8]) -> Self {
        let mut words = Self::default();
        while let Some((letter, after)) = rest.split_first() {
            rest = after;
            let place = PLACES[usize::from(letter.to_ascii_uppercase())];
            if !letter.is_ascii_alphabetic() {
                continue;
            }
            let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
            if let Some((value, length)) = number(&rest[spaces..]) {
                rest = &rest[spaces + length..];
                if place != NONE && !words.has(usize::from(place)) {
                    words.set(usize::from(place), value);
                }
            }
        }
        words
    }
}

/// A move that was read the quick way; its words are elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuickMove {
    /// 0 to 3, as in `G1`.
    pub(super) kind: u8,
    /// Bytes of the command, without white space behind it.
    pub(super) length: usize,
    /// Where its comment begins; the line's length when it has none.
    pub(super) stop: usize,
}

/// Reads `G0` to `G3` with plain words behind it. `None` for anything that needs a closer look; what it gives is what the
/// patient way would give. Its words are put into `words`, which hold nothing before.
#[inline]
pub(super) fn quick_move(line: &[u8], words: &mut Words) -> Option<QuickMove> {
    let [b'G', kind @ b'0'..=b'3', b' ', ..] = line else { return None };
    let (mut at, mut length) = (2, 2);
    loop {
        match line.get(at) {
            Some(b' ') => at += 1,
            Some(b'\r') if at + 1 == line.len() => at += 1,
            None | Some(b';') => break,
            Some(&letter) => {
                let place = usize::from(PLACES[usize::from(letter)]);
                if place >= LETTERS.len() || words.has(place) {
                    return None;
                }
                let (value, taken) = number(&line[at + 1..])?;
                at += 1 + taken;
                length = at;
                words.set(place, value);
            }
        }
    }
    Some(QuickMove { kind: kind - b'0', length, stop: at })
}

/// The command word: a letter, its number and what follows a point (`M862.3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// In capitals.
    pub(super) letter: u8,
    pub(super) number: u32,
    pub(super) point: Option<u32>,
    /// Bytes it takes.
    pub(super) length: usize,
}

impl Word {
    /// `None` for a command that is not a letter with a number.
    pub(super) fn of(command: &[u8]) -> Option<Self> {
        let letter = command.first()?.to_ascii_uppercase();
        let (number, digits) = whole(command.get(1..)?)?;
        let mut length = 1 + digits;
        let mut point = None;
        if command.get(length) == Some(&b'.')
            && let Some((value, digits)) = whole(&command[length + 1..])
        {
            point = Some(value);
            length += 1 + digits;
        }
        letter.is_ascii_alphabetic().then_some(Self { letter, number, point, length })
    }
}

fn whole(text: &[u8]) -> Option<(u32, usize)> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = text[..digits]
        .iter()
        .fold(0_u32, |value, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    (digits > 0).then_some((value, digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_ways_read_the_same() {
        let line = b"G1 X78.1  Y-.5 E2.74 F1800  ; perimeter";
        let mut words = Words::default();
        let quick = quick_move(line, &mut words).unwrap();
        assert_eq!((quick.kind, quick.length, quick.stop), (1, 26, 28));
        assert_eq!(words, Words::of(b" X78.1  Y-.5 E2.74 F1800"));
        assert_eq!(words.get(Y), Some(-0.5));
        assert_eq!(words.get(Z), None);
        assert_eq!(quick_move(b"G1 X1\r", &mut Words::default()).unwrap().length, 5);
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_patient_way() {
        let odd = [
            "G1",
            "G1X1",
            "g1 X1",
            "G1 X1 X2",
            "G1 X",
            "G1 (a) X1",
            "G1 A1",
            "G4 P1",
            "G1 X1 *3",
            "G10 P1",
            "G1 X1\rY2",
        ];
        assert!(odd.iter().all(|line| quick_move(line.as_bytes(), &mut Words::default()).is_none()));
        assert_eq!(Words::of(b"x 5 A7 Y X9").get(X), Some(5.0));
        assert!(!Words::of(b"x 5 A7 Y X9").has(Y));
    }

    #[test]
    fn command_words() {
        let word = |text: &str| Word::of(text.as_bytes()).map(|w| (w.letter, w.number, w.point, w.length));
        assert_eq!(word("G01X5"), Some((b'G', 1, None, 3)));
        assert_eq!(word("M862.3 P\"MK3S\""), Some((b'M', 862, Some(3), 6)));
        assert_eq!(word("t1"), Some((b'T', 1, None, 2)));
        assert_eq!(word("Tx"), None);
        assert_eq!(word("START_PRINT"), None);
        assert_eq!(word("G99999999999"), Some((b'G', u32::MAX, None, 12)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_quick_move_is_never_read_otherwise(line in "G[0-3]( {1,2}[XYZEFIJ]-?[0-9]{0,3}\\.?[0-9]{0,3}){0,4} ?\r?") {
            let mut words = Words::default();
            if let Some(quick) = quick_move(line.as_bytes(), &mut words) {
                let trimmed = line.trim_end();
                prop_assert_eq!(quick.length, trimmed.len());
                prop_assert_eq!(words, Words::of(&trimmed.as_bytes()[2..]));
            }
        }
    }
}

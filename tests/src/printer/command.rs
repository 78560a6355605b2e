//! The words of a command: a letter, its number, and parameters.

/// A command such as `G1 X10 F3000`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Command<'a> {
    /// `G`, `M` or `T`.
    pub(crate) letter: u8,
    /// The number behind the letter.
    pub(crate) code: u32,
    /// Everything behind the number and the blanks that follow it.
    pub(crate) rest: &'a [u8],
}

impl<'a> Command<'a> {
    /// Reads a command; `None` for anything that is no G, M or T word.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (&letter, tail) = text.split_first()?;
        if !matches!(letter, b'G' | b'M' | b'T') {
            return None;
        }
        let tail = tail.trim_ascii_start();
        let digits = tail.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 6 {
            return None;
        }
        let code = tail[..digits].iter().fold(0, |code, b| code * 10 + u32::from(b - b'0'));
        Some(Self { letter, code, rest: tail[digits..].trim_ascii_start() })
    }

    /// The value behind a parameter letter; `None` when the letter is missing or has no number.
    pub(crate) fn value(&self, letter: u8) -> Option<f64> {
        let at = self.rest.iter().position(|&b| b == letter)?;
        decimal(&self.rest[at + 1..])
    }

    /// Whether a parameter letter is there, with or without a number.
    pub(crate) fn has(&self, letter: u8) -> bool {
        self.rest.contains(&letter)
    }
}

/// A plain decimal number at the start of a text; exponents are not G-code.
fn decimal(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii_start();
    let negative = text.first() == Some(&b'-');
    let skip = usize::from(negative || text.first() == Some(&b'+'));
    let (mut mantissa, mut scale, mut digits, mut fraction) = (0u64, 1f64, 0, false);
    for &byte in &text[skip..] {
        match byte {
            b'0'..=b'9' if digits < 17 => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                digits += 1;
                scale *= if fraction { 10.0 } else { 1.0 };
            }
            b'0'..=b'9' if fraction => {}
            b'.' if !fraction => fraction = true,
            _ => break,
        }
    }
    let value = mantissa as f64 / scale;
    (digits > 0).then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_with_and_without_blanks() {
        let go = Command::parse(b"G1 X-1.25Y+3 E.5 F3000").unwrap();
        assert_eq!((go.letter, go.code), (b'G', 1));
        assert_eq!(go.value(b'X'), Some(-1.25));
        assert_eq!(go.value(b'Y'), Some(3.0));
        assert_eq!(go.value(b'E'), Some(0.5));
        assert_eq!(go.value(b'F'), Some(3000.0));
        assert_eq!(go.value(b'Z'), None);
        assert!(Command::parse(b"G28 X").unwrap().has(b'X'));
        assert_eq!(Command::parse(b"FOO1"), None);
        assert_eq!(Command::parse(b"n3 m105"), None);
        assert_eq!(Command::parse(b"G"), None);
        assert_eq!(Command::parse(b""), None);
    }
}

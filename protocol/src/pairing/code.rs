//! The code that a person carries from an agent to a backend: eight characters that survive being read aloud.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Crockford's base32: no I, L, O and U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARS: usize = 8;

/// 40 bits as eight characters, shown as `K7QX-M4TD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PairCode(u64);

/// A text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has eight letters and digits, such as K7QX-M4TD")]
pub struct PairCodeError;

impl PairCode {
    /// From five random bytes that the caller has drawn.
    #[must_use]
    pub fn from_random(bytes: [u8; 5]) -> Self {
        Self(bytes.into_iter().fold(0, |bits, byte| bits << 8 | u64::from(byte)))
    }
}

impl FromStr for PairCode {
    type Err = PairCodeError;

    /// As people write it: small letters, with or without hyphen and spaces, O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, PairCodeError> {
        let mut bits = 0;
        let mut count = 0;
        for c in text.chars().filter(|c| !matches!(c, '-' | ' ')) {
            let c = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                c => c,
            };
            let digit = DIGITS.iter().position(|&digit| char::from(digit) == c).ok_or(PairCodeError)?;
            bits = bits << 5 | digit as u64;
            count += 1;
            if count > CHARS {
                return Err(PairCodeError);
            }
        }
        if count == CHARS { Ok(Self(bits)) } else { Err(PairCodeError) }
    }
}

impl fmt::Display for PairCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in (0..CHARS).rev() {
            fmt::Write::write_char(f, char::from(DIGITS[(self.0 >> (5 * at) & 31) as usize]))?;
            if at == CHARS / 2 {
                f.write_str("-")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PairCode {
    /// A code opens something, so it is not shown by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairCode(..)")
    }
}

impl TryFrom<String> for PairCode {
    type Error = PairCodeError;

    fn try_from(text: String) -> Result<Self, PairCodeError> {
        text.parse()
    }
}

impl From<PairCode> for String {
    fn from(code: PairCode) -> Self {
        code.to_string()
    }
}

impl JsonSchema for PairCode {
    fn schema_name() -> Cow<'static, str> {
        "PairCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_written() {
        let code = PairCode::from_random([0x99, 0xef, 0xda, 0x13, 0x4d]);
        assert_eq!(code.to_string(), "K7QX-M4TD");
        for text in ["K7QX-M4TD", "k7qxm4td", " K7 QX m4-td "] {
            assert_eq!(text.parse(), Ok(code), "{text}");
        }
        assert_eq!("oIl0-0000".parse::<PairCode>(), "0110-0000".parse());
        assert_eq!(PairCode::from_random([0xff; 5]).to_string(), "ZZZZ-ZZZZ");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "K7QX", "K7QX-M4TDX", "K7QX-M4TU", "K7QX_M4TD", "€7QX-M4TD", &"1".repeat(999)] {
            assert_eq!(text.parse::<PairCode>(), Err(PairCodeError), "{text}");
        }
    }

    #[test]
    fn a_code_is_not_shown_by_accident() {
        assert!(!format!("{:?}", PairCode::from_random([1; 5])).contains("01"));
    }
}

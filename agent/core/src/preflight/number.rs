//! Decimal numbers as G-code has them: a sign, digits, a point, digits, and no exponent.

/// Digits up to which a number and its power of ten are both exact, so that one division rounds correctly.
const EXACT_DIGITS: usize = 15;
/// Powers of ten that a double holds exactly, as far as they are needed.
const TENS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The number at the start of `text`, and how many bytes it takes; `None` when there is no digit. The value is that of
/// [`str::parse`].
#[must_use]
pub fn number(text: &[u8]) -> Option<(f64, usize)> {
    let negative = text.first() == Some(&b'-');
    let signed = negative || text.first() == Some(&b'+');
    let (mut at, mut digits, mut decimals) = (usize::from(signed), 0_usize, 0_usize);
    let (mut value, mut behind_point) = (0_u64, false);
    while let Some(&byte) = text.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            digits += 1;
            decimals += usize::from(behind_point);
        } else if byte == b'.' && !behind_point {
            behind_point = true;
        } else {
            break;
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    if digits > EXACT_DIGITS {
        let text = std::str::from_utf8(&text[..at]).expect("digits, a point and a sign are ASCII");
        return Some((text.parse().unwrap_or(f64::NAN), at));
    }
    let value = value as f64 / TENS[decimals];
    Some((if negative { -value } else { value }, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_slicers_write() {
        for (text, value, length) in [
            ("78.138 Y", 78.138, 6),
            (".35", 0.35, 3),
            ("-.01", -0.01, 4),
            ("5.", 5.0, 2),
            ("+7X", 7.0, 2),
            ("1.2.3", 1.2, 3),
            ("0", 0.0, 1),
        ] {
            let (found, taken) = number(text.as_bytes()).unwrap();
            assert_eq!((found.to_bits(), taken), (f64::to_bits(value), length), "{text}");
        }
        for text in ["", "-", ".", "-.", "X1", "e5", " 1"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_value_is_that_of_the_standard_library(text in "[+-]?([0-9]{1,24}\\.?[0-9]{0,24}|\\.[0-9]{1,24})", rest in "[ XYZ;*]?.{0,8}") {
            let expected: f64 = text.parse().unwrap();
            let whole = text.clone() + if rest.starts_with(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '.']) { "" } else { &rest };
            let (found, taken) = number(whole.as_bytes()).unwrap();
            prop_assert_eq!(found.to_bits(), expected.to_bits());
            prop_assert_eq!(taken, text.len());
        }
    }
}

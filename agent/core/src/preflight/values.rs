//! The values that slicers put into comments: lists, times, lengths, beds.

use super::number::number;
use super::tally::shown;

/// Most values of one list.
const MOST: usize = 128;

/// A text that says something.
pub(super) fn text(value: &[u8]) -> Option<String> {
    let value = value.trim_ascii();
    let bare = value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value);
    (!bare.is_empty()).then(|| shown(bare))
}

/// `PLA;PETG`, with or without quotes.
pub(super) fn list(value: &[u8]) -> Vec<String> {
    value.split(|byte| matches!(byte, b';' | b',' | b'|')).filter_map(text).take(MOST).collect()
}

/// `0.4,0.6`: the number at the start of each part.
pub(super) fn floats(value: &[u8]) -> Vec<f64> {
    let parts = value.split(|byte| matches!(byte, b',' | b';' | b'|')).take(MOST);
    parts
        .filter_map(|part| number(part.trim_ascii()))
        .map(|(value, _)| value)
        .filter(|v| v.is_finite())
        .collect()
}

/// The sum of a list that holds something.
pub(super) fn sum(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum())
}

/// `1.23m, 0.4m` or `1230mm`.
pub(super) fn millimetres(value: &[u8]) -> Vec<f64> {
    let parts = value.split(|byte| *byte == b',').take(MOST);
    let length = |part: &[u8]| {
        let (value, taken) = number(part)?;
        let unit = part[taken..].trim_ascii();
        Some(if unit.starts_with(b"mm") { value } else { value * 1_000.0 })
    };
    parts.filter_map(|part| length(part.trim_ascii())).filter(|value| value.is_finite()).collect()
}

/// `1d 2h 3m 4s` or `1 hours 30 minutes`, in seconds.
pub(super) fn span_s(value: &[u8]) -> Option<u64> {
    let (mut rest, mut seconds, mut found) = (value.trim_ascii(), 0.0, false);
    while let Some((count, taken)) = number(rest) {
        rest = rest[taken..].trim_ascii_start();
        let unit = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        seconds += count
            * match rest.first()? {
                b'd' => 86_400.0,
                b'h' => 3_600.0,
                b'm' => 60.0,
                b's' => 1.0,
                _ => return None,
            };
        rest = rest[unit..].trim_ascii_start();
        found = true;
    }
    found.then_some(seconds.max(0.0) as u64)
}

/// `0x0,220x0,220x220,0x220`: least X and Y, greatest X and Y of the points.
pub(super) fn rectangle(value: &[u8]) -> Option<[f64; 4]> {
    let mut around = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for point in value.split(|byte| *byte == b',').take(MOST) {
        let point = point.trim_ascii();
        let (x, taken) = number(point)?;
        let (y, _) = number(point.get(taken + 1..)?)?;
        around = [around[0].min(x), around[1].min(y), around[2].max(x), around[3].max(y)];
    }
    (around[0] < around[2] && around[1] < around[3]).then_some(around)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_slicers() {
        for (text, seconds) in [
            ("2h 8m 8s", Some(7_688)),
            ("1d 0h 1m 0s", Some(86_460)),
            ("11m 59s", Some(719)),
            ("1 hours 25 minutes", Some(5_100)),
            ("1 hour 1 minute", Some(3_660)),
            ("soon", None),
            ("5", None),
        ] {
            assert_eq!(span_s(text.as_bytes()), seconds, "{text}");
        }
    }

    #[test]
    fn lists_lengths_and_beds() {
        assert_eq!(floats(b"0.4,0.6"), [0.4, 0.6]);
        assert_eq!(list(b"PLA;\"PETG\";"), ["PLA", "PETG"]);
        assert_eq!(millimetres(b"1.5m, 20mm"), [1500.0, 20.0]);
        assert_eq!(rectangle(b"0x0,220x0,220x210,0x210"), Some([0.0, 0.0, 220.0, 210.0]));
        assert_eq!(rectangle(b"-60x-60,60x60"), Some([-60.0, -60.0, 60.0, 60.0]));
        for odd in ["", "0x0", "a,b", "0", "5x"] {
            assert_eq!(rectangle(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(text(b"  \"\" "), None);
        assert_eq!(sum(&[1.0, 2.5]), Some(3.5));
    }
}

//! How the computer beside the printer does: how warm it is, and whether a Raspberry Pi had to slow down.

use std::fs;
use std::path::Path;

/// Degrees Celsius beyond these are no temperature of a processor.
const SENSIBLE_C: std::ops::RangeInclusive<f64> = -40.0..=150.0;
const ZONE: &str = "sys/class/thermal/thermal_zone0/temp";
/// Where the firmware of a Raspberry Pi says it (`raspberrypi-hwmon`'s sibling, in hexadecimal digits).
const THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

/// Both at once.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Board {
    /// The processor's temperature, in degrees Celsius.
    pub celsius: Option<f64>,
    /// The bits of `get_throttled`.
    pub throttled: Option<u32>,
}

impl Board {
    /// This computer, now.
    #[must_use]
    pub fn now() -> Self {
        let root = Path::new("/");
        Self { celsius: temperature(root), throttled: throttled(root) }
    }
}

/// The processor's temperature; the kernel gives thousandths.
pub(crate) fn temperature(root: &Path) -> Option<f64> {
    let text = fs::read_to_string(root.join(ZONE)).ok()?;
    let celsius = text.trim().parse::<f64>().ok()? / 1_000.0;
    Some((celsius * 10.0).round() / 10.0).filter(|celsius| SENSIBLE_C.contains(celsius))
}

/// The bits of `get_throttled`; nothing on other computers.
pub(crate) fn throttled(root: &Path) -> Option<u32> {
    let text = fs::read_to_string(root.join(THROTTLED)).ok()?;
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(path: &str, text: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        root
    }

    #[test]
    fn temperature_and_throttling_are_read_as_the_kernel_says_them() {
        for (text, celsius) in [("54768\n", Some(54.8)), ("-5000", Some(-5.0)), ("999999", None), ("", None)]
        {
            assert_eq!(temperature(says(ZONE, text).path()), celsius, "{text}");
        }
        for (text, bits) in [("50005\n", Some(0x5_0005)), ("0", Some(0)), ("0x4", Some(4)), ("hot", None)] {
            assert_eq!(throttled(says(THROTTLED, text).path()), bits, "{text}");
        }
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!((temperature(nothing.path()), throttled(nothing.path())), (None, None));
    }
}

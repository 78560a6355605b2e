//! Room for job files: what their quota and the device leave, beside a reserve that they never touch.

use std::fmt;

/// How the room for job files stands, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Taken by complete bodies and by parts.
    pub used_bytes: u64,
    /// The most that they may take together.
    pub max_bytes: u64,
    /// Free on the device, for a process without privileges.
    pub free_bytes: u64,
    /// Size of the device's file system.
    pub device_bytes: u64,
    /// What job files leave free on the device.
    pub reserve_bytes: u64,
}

impl Room {
    /// What further files may take.
    #[must_use]
    pub fn left_bytes(&self) -> u64 {
        self.quota_left().min(self.device_left())
    }

    fn quota_left(&self) -> u64 {
        self.max_bytes.saturating_sub(self.used_bytes)
    }

    fn device_left(&self) -> u64 {
        self.free_bytes.saturating_sub(self.reserve_bytes)
    }
}

/// A file does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// What the file needs, uncompressed, in bytes.
    pub needed_bytes: u64,
    /// What files that are still coming need, in bytes.
    pub promised_bytes: u64,
    /// How the room stands.
    pub room: Room,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = &self.room;
        let (left, of) = if room.quota_left() <= room.device_left() {
            (room.quota_left(), format!("{} for job files", Megabytes(room.max_bytes)))
        } else {
            (room.device_left(), format!("{} on the device", Megabytes(room.device_bytes)))
        };
        write!(f, "needs {}, {} free of {of}", Megabytes(self.needed_bytes), Megabytes(left))?;
        if self.promised_bytes > 0 {
            write!(f, ", {} of it promised", Megabytes(self.promised_bytes))?;
        }
        write!(f, ", reserve {}", Megabytes(room.reserve_bytes))
    }
}

/// Bytes as a person reads them, in units of 10^6.
#[derive(Debug, Clone, Copy)]
pub struct Megabytes(pub u64);

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0 / 100_000;
        match tenths {
            0 if self.0 > 0 => f.write_str("under 0.1 MB"),
            0..1000 => write!(f, "{}.{} MB", tenths / 10, tenths % 10),
            _ => write!(f, "{} MB", tenths / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    #[test]
    fn a_shortage_says_its_numbers() {
        let room = Room {
            used_bytes: 196_900_000,
            max_bytes: 200 * MB,
            free_bytes: 5_000 * MB,
            device_bytes: 29_000 * MB,
            reserve_bytes: 64 * MB,
        };
        let shortage = Shortage { needed_bytes: 14_700_000, promised_bytes: 0, room };
        assert_eq!(
            shortage.to_string(),
            "needs 14.7 MB, 3.1 MB free of 200 MB for job files, reserve 64.0 MB"
        );
        let room = Room { free_bytes: 65 * MB, used_bytes: 0, ..room };
        assert_eq!(room.left_bytes(), MB);
        let shortage = Shortage { promised_bytes: 99_999, room, ..shortage };
        assert_eq!(
            shortage.to_string(),
            "needs 14.7 MB, 1.0 MB free of 29000 MB on the device, under 0.1 MB of it promised, reserve 64.0 MB"
        );
    }

    #[test]
    fn what_is_over_full_leaves_nothing() {
        let room = Room { used_bytes: 9, max_bytes: 5, free_bytes: 3, device_bytes: 10, reserve_bytes: 4 };
        assert_eq!(room.left_bytes(), 0);
    }
}

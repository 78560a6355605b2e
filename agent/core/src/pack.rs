//! Plain values as bytes in a fixed order, for memory that outlives the process that wrote it.

use std::time::Duration;

use crate::Moment;
use crate::gcode::Position;

/// Writes values one behind the other into memory that is already there.
#[derive(Debug)]
pub struct Pack<'a> {
    room: &'a mut [u8],
    at: usize,
    fits: bool,
}

impl<'a> Pack<'a> {
    /// Writes from the beginning of this room.
    #[must_use]
    pub fn new(room: &'a mut [u8]) -> Self {
        Self { room, at: 0, fits: true }
    }

    /// Bytes that were written; `None` when something did not fit.
    #[must_use]
    pub fn len(&self) -> Option<usize> {
        self.fits.then_some(self.at)
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    fn raw(&mut self, bytes: &[u8]) {
        match self.room.get_mut(self.at..self.at + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            None => self.fits = false,
        }
    }

    /// A small number.
    pub fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    /// Yes or no.
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// A number.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    /// A large number.
    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    /// A number with a fraction.
    pub fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// A number with a fraction, or none.
    pub fn maybe_f64(&mut self, value: Option<f64>) {
        self.bool(value.is_some());
        self.f64(value.unwrap_or(0.0));
    }

    /// Yes, no, or not known.
    pub fn maybe_bool(&mut self, value: Option<bool>) {
        self.u8(value.map_or(2, u8::from));
    }

    /// A point in time, or none.
    pub fn maybe_moment(&mut self, value: Option<Moment>) {
        self.u64(value.map_or(u64::MAX, Moment::as_micros));
    }

    /// A length of time, in whole microseconds.
    pub fn duration(&mut self, value: Duration) {
        self.u64(u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
    }

    /// A place in a file.
    pub fn position(&mut self, value: Position) {
        self.u64(value.line);
        self.u64(value.byte);
        self.u32(value.layer);
    }

    /// Bytes and how many; more than 65,535 do not fit.
    pub fn bytes(&mut self, value: &[u8]) {
        match u16::try_from(value.len()) {
            Ok(length) => {
                self.raw(&length.to_le_bytes());
                self.raw(value);
            }
            Err(_) => self.fits = false,
        }
    }
}

/// Reads what [`Pack`] wrote; `None` when there is no more, or when it is no such value.
#[derive(Debug)]
pub struct Unpack<'a> {
    rest: &'a [u8],
}

impl<'a> Unpack<'a> {
    /// Reads from the beginning of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }

    /// A small number.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[value]| value)
    }

    /// Yes or no.
    pub fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A number.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A large number.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number with a fraction.
    pub fn f64(&mut self) -> Option<f64> {
        self.u64().map(f64::from_bits)
    }

    /// A number with a fraction, or none.
    pub fn maybe_f64(&mut self) -> Option<Option<f64>> {
        let there = self.bool()?;
        let value = self.f64()?;
        Some(there.then_some(value))
    }

    /// Yes, no, or not known.
    pub fn maybe_bool(&mut self) -> Option<Option<bool>> {
        match self.u8()? {
            2 => Some(None),
            value @ 0..=1 => Some(Some(value == 1)),
            _ => None,
        }
    }

    /// A point in time, or none.
    pub fn maybe_moment(&mut self) -> Option<Option<Moment>> {
        Some(Some(self.u64()?).filter(|&micros| micros != u64::MAX).map(Moment::from_micros))
    }

    /// A length of time.
    pub fn duration(&mut self) -> Option<Duration> {
        self.u64().map(Duration::from_micros)
    }

    /// A place in a file.
    pub fn position(&mut self) -> Option<Position> {
        Some(Position { line: self.u64()?, byte: self.u64()?, layer: self.u32()? })
    }

    /// Everything that was not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_the_same_order() {
        let mut room = [0; 160];
        let mut pack = Pack::new(&mut room);
        pack.u8(7);
        pack.bool(true);
        pack.u32(1_000_000);
        pack.u64(u64::MAX - 1);
        pack.maybe_f64(Some(-0.5));
        pack.maybe_f64(None);
        pack.maybe_bool(None);
        pack.maybe_bool(Some(true));
        pack.maybe_moment(Some(Moment::from_millis(3)));
        pack.maybe_moment(None);
        pack.duration(Duration::from_millis(9));
        pack.position(Position { line: 1, byte: 2, layer: 3 });
        pack.bytes(b"G1 X1");
        let length = pack.len().unwrap();
        let mut from = Unpack::new(&room[..length]);
        assert_eq!((from.u8(), from.bool(), from.u32()), (Some(7), Some(true), Some(1_000_000)));
        assert_eq!((from.u64(), from.maybe_f64()), (Some(u64::MAX - 1), Some(Some(-0.5))));
        assert_eq!((from.maybe_f64(), from.maybe_bool()), (Some(None), Some(None)));
        assert_eq!(from.maybe_bool(), Some(Some(true)));
        assert_eq!(from.maybe_moment(), Some(Some(Moment::from_millis(3))));
        assert_eq!(from.maybe_moment(), Some(None));
        assert_eq!(from.duration(), Some(Duration::from_millis(9)));
        assert_eq!(from.position(), Some(Position { line: 1, byte: 2, layer: 3 }));
        assert_eq!((from.bytes(), from.u8()), (Some(&b"G1 X1"[..]), None));
    }

    #[test]
    fn what_does_not_fit_is_told_and_what_is_cut_is_not_read() {
        let mut room = [0; 8];
        let mut pack = Pack::new(&mut room);
        pack.u32(1);
        pack.bytes(b"too long");
        assert_eq!(pack.len(), None);
        assert_eq!(Unpack::new(&[9, 0, 1]).bytes(), None);
        assert_eq!(Unpack::new(&[2]).bool(), None);
    }
}

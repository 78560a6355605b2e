//! The receive ring of an AVR UART: what does not fit is gone.

/// A byte ring that drops what comes when it is full, as `MarlinSerial::store_rxd_char` does.
#[derive(Debug)]
pub(crate) struct RxRing {
    bytes: Box<[u8]>,
    head: usize,
    len: usize,
}

impl RxRing {
    /// A ring of `size` bytes, one of which always stays free.
    pub(crate) fn new(size: usize) -> Self {
        Self { bytes: vec![0; size.max(2)].into_boxed_slice(), head: 0, len: 0 }
    }

    /// Stores a byte; false when it was dropped.
    pub(crate) fn push(&mut self, byte: u8) -> bool {
        if self.room() == 0 {
            return false;
        }
        let mut at = self.head + self.len;
        if at >= self.bytes.len() {
            at -= self.bytes.len();
        }
        self.bytes[at] = byte;
        self.len += 1;
        true
    }

    /// The oldest byte.
    pub(crate) fn pop(&mut self) -> Option<u8> {
        if self.len == 0 {
            return None;
        }
        let byte = self.bytes[self.head];
        self.head = if self.head + 1 == self.bytes.len() { 0 } else { self.head + 1 };
        self.len -= 1;
        Some(byte)
    }

    /// Bytes stored.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        self.bytes.len() - 1 - self.len
    }

    /// Throws everything away and says how much it was.
    pub(crate) fn flush(&mut self) -> usize {
        std::mem::take(&mut self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_128_holds_127_and_keeps_its_order_around_the_edge() {
        let mut ring = RxRing::new(128);
        for round in 0..5u8 {
            let stored = (0..200u8).filter(|b| ring.push(b.wrapping_add(round))).count();
            assert_eq!(stored, 127);
            for expected in 0..100u8 {
                assert_eq!(ring.pop(), Some(expected.wrapping_add(round)));
            }
            assert_eq!(ring.room(), 100);
            assert_eq!(ring.flush(), 27);
            assert_eq!(ring.pop(), None);
        }
    }
}

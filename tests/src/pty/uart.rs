//! The pace of a UART: bytes taken from the terminal reach the printer one by one, each at its own time.

use std::collections::VecDeque;

/// How many bytes are taken ahead of the wire, like the buffer of an adapter; more stay in the kernel.
const AHEAD: usize = 64;

/// Below this many the buffer is filled up, so that the wire never runs dry for want of a wake-up.
const LOW: usize = 32;

/// Bytes on their way over the wire.
#[derive(Debug)]
pub(super) struct Uart {
    byte_ns: u64,
    free_at_ns: u64,
    in_flight: VecDeque<(u64, u8)>,
    kernel_has_more: bool,
}

impl Uart {
    pub(super) fn new(baud: u32) -> Self {
        Self {
            byte_ns: 10_000_000_000 / u64::from(baud.max(1)),
            free_at_ns: 0,
            in_flight: VecDeque::with_capacity(AHEAD),
            kernel_has_more: false,
        }
    }

    /// How many bytes to read from the terminal now.
    pub(super) fn wants(&self) -> usize {
        if self.in_flight.len() > LOW { 0 } else { AHEAD - self.in_flight.len() }
    }

    /// Takes what a read of `wanted` bytes gave at `now_us`.
    ///
    /// When the read before this one left bytes behind, the wire has been busy all the time, however late this thread
    /// was woken: the new bytes then follow the old ones without a gap.
    pub(super) fn take(&mut self, now_us: u64, bytes: &[u8], wanted: usize) {
        if !self.kernel_has_more {
            self.free_at_ns = self.free_at_ns.max(now_us * 1_000);
        }
        for &byte in bytes {
            self.free_at_ns += self.byte_ns;
            self.in_flight.push_back((self.free_at_ns / 1_000, byte));
        }
        self.kernel_has_more = bytes.len() == wanted;
    }

    /// Bytes on their way.
    pub(super) fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// The next byte that has arrived by `now_us`.
    pub(super) fn pop(&mut self, now_us: u64) -> Option<(u64, u8)> {
        self.in_flight.pop_front_if(|(at_us, _)| *at_us <= now_us)
    }

    /// When to look again: at the end of the next line, or when the buffer wants more.
    pub(super) fn next_wake_us(&self) -> Option<u64> {
        let line_end = self.in_flight.iter().find(|(_, byte)| *byte == b'\n').map(|(at_us, _)| *at_us);
        let low = self.in_flight.len().checked_sub(LOW + 1).map(|at| self.in_flight[at].0);
        let last = self.in_flight.back().map(|(at_us, _)| *at_us);
        [line_end, low, last].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_read_keeps_the_wire_busy_although_the_next_read_is_late() {
        let mut uart = Uart::new(100_000);
        assert_eq!(uart.wants(), 64);
        uart.take(0, &[b'x'; 64], 64);
        assert_eq!((uart.wants(), uart.next_wake_us()), (0, Some(3_200)));
        assert_eq!(std::iter::from_fn(|| uart.pop(10_000)).count(), 64);
        uart.take(10_000, b"a\n", 64);
        assert_eq!((uart.pop(10_000), uart.pop(10_000)), (Some((6_500, b'a')), Some((6_600, b'\n'))));
        uart.take(20_000, b"b", 64);
        assert_eq!(uart.pop(30_000), Some((20_100, b'b')));
    }
}

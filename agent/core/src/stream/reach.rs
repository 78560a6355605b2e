//! How far a window reaches, and how that shrinks when the firmware shows that it drops bytes.

use spoolway_firmware_profiles::Profile;
use spoolway_firmware_profiles::flow::Window;
use spoolway_firmware_profiles::profile::Status;

use crate::pack::{Pack, Unpack};

/// The ring of a board that says nothing better (Marlin, Prusa, Repetier and grbl on an ATmega).
const PLAIN_RING: usize = 127;
/// A receive ring that is run with XON/XOFF has at least so many bytes (Marlin `Configuration_adv.h`).
const XON_XOFF_RING: usize = 1024;
/// Bytes that may be on their way where USB itself holds the sender back.
const USB_BYTES: usize = 64 * 1024;
/// Below twice this a ring is not halved any more: hardly a line would fit.
const HALF_RING_MIN: usize = 48;
/// The same number of free queue slots must be reported this often before it is believed; replies carry no checksum.
const SLOTS_SEEN_MIN: u32 = 3;
/// Deepest command queue that is believed.
const SLOTS_MAX: usize = 64;

/// How far a window reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The rule behind the numbers.
    pub rule: Window,
    /// The firmware says stop before its ring is full.
    pub xon_xoff: bool,
    /// Un-acknowledged bytes at most, but for the lines in the command queue.
    pub bytes: usize,
    /// Un-acknowledged lines at most.
    pub lines: usize,
    /// Lines that the firmware has certainly taken out of its ring as soon as it has room for them: the oldest so many are
    /// not counted against `bytes`.
    pub queue: usize,
}

impl Reach {
    /// The reach that a profile and the capabilities of the firmware allow.
    #[must_use]
    pub fn of(profile: &Profile, xon_xoff: bool) -> Self {
        let flow = &profile.flow;
        let bytes = flow.rx_bytes.saturating_sub(1) as usize;
        let lines = flow.max_lines.max(1) as usize;
        let plain = Self { rule: flow.window, xon_xoff: false, bytes, lines, queue: 0 };
        let one_line = Self { rule: Window::OneLine, lines: 1, ..plain };
        if profile.status == Status::Unverified {
            return one_line;
        }
        match flow.window {
            Window::OneLine => one_line,
            Window::UsbBackPressure => Self { bytes: USB_BYTES, ..plain },
            _ if xon_xoff => Self { xon_xoff, bytes: bytes.max(XON_XOFF_RING - 1), ..plain },
            Window::BytesAndQueue => Self { queue: flow.queue_lines as usize, ..plain },
            Window::Bytes | Window::CharacterCount | Window::AdvancedOk => plain,
        }
    }

    /// The next narrower one.
    fn narrower(self) -> Self {
        match self.rule {
            _ if self.is_wide() => Self {
                queue: 0,
                xon_xoff: false,
                bytes: if self.xon_xoff { PLAIN_RING } else { self.bytes },
                ..self
            },
            Window::UsbBackPressure if self.lines > 2 => Self { lines: self.lines / 2, ..self },
            Window::UsbBackPressure => Self { lines: 1, ..self },
            _ if self.bytes / 2 >= HALF_RING_MIN => Self { bytes: self.bytes / 2, ..self },
            _ => Self { lines: 1, ..self },
        }
    }

    /// Whether it trusts the firmware to take bytes out of its ring, or to say stop.
    fn is_wide(self) -> bool {
        self.queue > 0 || self.xon_xoff
    }

    /// The rule's name in profiles and in `status`.
    const fn name(self) -> &'static str {
        if self.xon_xoff { "xon-xoff" } else { self.rule.name() }
    }

    fn is_narrowest(self) -> bool {
        self.lines == 1
    }
}

/// The window in force, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// Which rule it follows, in the profile's words.
    pub rule: &'static str,
    /// Un-acknowledged bytes at most, but for the lines in the command queue.
    pub bytes: usize,
    /// Un-acknowledged lines at most.
    pub lines: usize,
    /// Lines that are taken to lie in the command queue.
    pub queue_lines: usize,
    /// How often it has been narrowed.
    pub narrowed: u32,
}

/// Refusals within so many acknowledged lines count together.
const DENSE_LINES: u32 = 128;
/// So many of them narrow the window.
const DENSE_REFUSALS: u32 = 3;
/// After so many acknowledged lines without a refusal the ring is used a step further again.
const CALM_LINES: u32 = 4096;

/// Keeps the reach in force.
#[derive(Debug)]
pub(super) struct Narrowing {
    /// As wide as it may be: the queue is struck out of it for good by a first refusal.
    widest: Reach,
    steps: u32,
    narrowed: u32,
    refusals: u32,
    lines: u32,
    slots: usize,
    slots_seen: u32,
}

impl Narrowing {
    pub(super) fn new(widest: Reach) -> Self {
        Self { widest, steps: 0, narrowed: 0, refusals: 0, lines: 0, slots: 0, slots_seen: 0 }
    }

    pub(super) fn pack(&self, to: &mut Pack<'_>) {
        let widest = &self.widest;
        to.bytes(widest.rule.name().as_bytes());
        to.bool(widest.xon_xoff);
        for number in [widest.bytes, widest.lines, widest.queue, self.slots] {
            to.u64(number as u64);
        }
        for number in [self.steps, self.narrowed, self.refusals, self.lines, self.slots_seen] {
            to.u32(number);
        }
    }

    pub(super) fn unpack(from: &mut Unpack<'_>) -> Option<Self> {
        let name = from.bytes()?;
        let rule = Window::ALL.into_iter().find(|rule| rule.name().as_bytes() == name)?;
        let xon_xoff = from.bool()?;
        let mut number = || from.u64().and_then(|number| usize::try_from(number).ok());
        let (bytes, lines, queue, slots) = (number()?, number()?, number()?, number()?);
        let widest = Reach { rule, xon_xoff, bytes, lines, queue };
        let (steps, narrowed, refusals) = (from.u32()?, from.u32()?, from.u32()?);
        // A few halvings reach one line.
        let steps = steps.min(32);
        Some(Self { widest, steps, narrowed, refusals, lines: from.u32()?, slots, slots_seen: from.u32()? })
    }

    /// The reach now.
    pub(super) fn reach(&self) -> Reach {
        (0..self.steps).fold(self.widest, |reach, _| reach.narrower())
    }

    pub(super) fn in_force(&self) -> InForce {
        let reach = self.reach();
        InForce {
            rule: reach.name(),
            bytes: reach.bytes,
            lines: reach.lines,
            queue_lines: reach.queue,
            narrowed: self.narrowed,
        }
    }

    /// The firmware reports free slots of its command queue, of which the command that it has just finished still holds
    /// one; gives whether the reach has changed.
    pub(super) fn hear_slots(&mut self, free: u32) -> bool {
        let slots = free as usize + 1;
        let reports = self.widest.rule == Window::AdvancedOk && !self.widest.xon_xoff;
        if !reports || self.narrowed > 0 || slots <= self.widest.queue {
            return false;
        }
        if slots > SLOTS_MAX || slots < self.slots {
            return false;
        }
        if slots > self.slots {
            (self.slots, self.slots_seen) = (slots, 0);
        }
        self.slots_seen += 1;
        if self.slots_seen < SLOTS_SEEN_MIN {
            return false;
        }
        self.widest.queue = slots;
        true
    }

    /// The firmware said that bytes found no room; gives whether the reach has changed.
    pub(super) fn hear_overrun(&mut self) -> bool {
        self.narrow()
    }

    /// A line was refused that had been sent whole; gives whether the reach has changed.
    pub(super) fn hear_refusal(&mut self) -> bool {
        if self.refusals == 0 {
            self.lines = 0;
        }
        self.refusals += 1;
        if self.reach().is_wide() {
            // The wide window is only safe as long as it has never been wrong.
            return self.narrow();
        }
        self.refusals >= DENSE_REFUSALS && self.narrow()
    }

    /// A line was acknowledged; gives whether the reach has changed.
    pub(super) fn hear_ack(&mut self) -> bool {
        self.lines = self.lines.saturating_add(1);
        if self.refusals > 0 && self.lines >= DENSE_LINES {
            (self.refusals, self.lines) = (0, 0);
        }
        if self.steps == 0 || self.lines < CALM_LINES {
            return false;
        }
        self.lines = 0;
        self.steps -= 1;
        true
    }

    fn narrow(&mut self) -> bool {
        (self.refusals, self.lines) = (0, 0);
        if self.reach().is_narrowest() {
            return false;
        }
        self.narrowed += 1;
        if self.widest.is_wide() {
            self.widest = self.widest.narrower();
        } else {
            self.steps += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(rule: Window, queue: usize) -> Narrowing {
        Narrowing::new(Reach { rule, xon_xoff: false, bytes: 127, lines: 32, queue })
    }

    #[test]
    fn a_first_refusal_takes_the_queue_away_for_good() {
        let mut window = wide(Window::BytesAndQueue, 4);
        assert!(window.hear_refusal());
        assert_eq!(window.in_force().queue_lines, 0);
        assert!(!(0..100_000).any(|_| window.hear_ack()), "the ring is in use already");
        assert_eq!(
            window.in_force(),
            InForce { rule: "bytes-and-queue", bytes: 127, lines: 32, queue_lines: 0, narrowed: 1 }
        );
    }

    #[test]
    fn many_refusals_halve_the_ring_and_calm_gives_it_back() {
        let mut window = wide(Window::Bytes, 0);
        let bytes = |window: &Narrowing| window.reach().bytes;
        assert!(!window.hear_refusal() && !window.hear_refusal() && window.hear_refusal());
        assert_eq!(bytes(&window), 63);
        for _ in 0..3 {
            window.hear_refusal();
        }
        assert_eq!(window.reach().lines, 1);
        assert!(!window.hear_overrun(), "one line is the least");
        assert_eq!((0..2 * CALM_LINES).filter(|_| window.hear_ack()).count(), 2);
        assert_eq!((bytes(&window), window.reach().lines), (127, 32));
    }

    #[test]
    fn refusals_far_apart_do_not_count_together() {
        let mut window = wide(Window::Bytes, 0);
        for _ in 0..10 {
            assert!(!window.hear_refusal());
            for _ in 0..DENSE_LINES {
                assert!(!window.hear_ack());
            }
        }
    }

    #[test]
    fn reported_slots_are_believed_when_they_are_said_again() {
        let mut window = wide(Window::AdvancedOk, 0);
        assert!(!window.hear_slots(3) && !window.hear_slots(1) && !window.hear_slots(3));
        assert!(window.hear_slots(3));
        assert_eq!(window.reach().queue, 4);
        assert!((0..9).all(|_| !window.hear_slots(4_000)), "no firmware has such a queue");
        assert!(window.hear_refusal() && !window.hear_slots(3));
        assert_eq!(window.reach().queue, 0);
        assert!((0..9).all(|_| !wide(Window::Bytes, 0).hear_slots(3)));
    }

    #[test]
    fn a_board_that_dropped_bytes_although_it_could_say_stop_is_trusted_no_more() {
        let widest = Reach { xon_xoff: true, bytes: 1023, ..wide(Window::AdvancedOk, 0).widest };
        let mut window = Narrowing::new(widest);
        assert_eq!(window.in_force().rule, "xon-xoff");
        assert!((0..9).all(|_| !window.hear_slots(3)), "it is wide already");
        assert!(window.hear_refusal());
        assert_eq!((window.in_force().rule, window.reach().bytes), ("advanced-ok", 127));
    }
}

//! The realtime bytes of grbl and grblHAL: they act from the receive interrupt and never reach the line.

use super::{Power, Printer};

/// Ctrl-X.
const SOFT_RESET: u8 = 0x18;

impl Printer {
    /// Takes a byte that acts at once; false when it belongs to the line (`serial.c`).
    pub(super) fn take_realtime(&mut self, byte: u8) -> bool {
        match byte {
            b'?' => self.due.status = true,
            b'!' => self.is_held = true,
            b'~' => self.is_held = false,
            SOFT_RESET => self.due.soft_reset = true,
            // Overrides and the like: nothing here has them, and nothing of them reaches the line.
            0x80.. => {}
            _ => return false,
        }
        true
    }

    /// `<Run|MPos:0.000,0.000,0.000|Bf:15,127|FS:0,0>`.
    pub(super) fn report_status(&mut self) {
        let moving = self.planner.drained_at_us() > self.clock_us;
        let state = match (self.is_held, moving) {
            (true, _) => "Hold:0",
            (false, true) => "Run",
            (false, false) => "Idle",
        };
        let [x, y, z] = self.position.xyz();
        let (blocks, bytes) = (self.planner.free(), self.ring.room());
        self.print(&format!("<{state}|MPos:{x:.3},{y:.3},{z:.3}|Bf:{blocks},{bytes}|FS:0,0>"));
    }

    /// Everything on its way is thrown away and the banner comes again; in the middle of a move that is an alarm as well, but
    /// not when a feed hold has brought it to a stand (`motion_control.c`, `mc_reset`).
    pub(super) fn reset_softly(&mut self) {
        self.statistics.kills += 1;
        if !self.is_held && self.planner.drained_at_us() > self.clock_us {
            self.print("ALARM:3");
        }
        self.forget(self.busy_until_us);
        self.power = Power::On;
        for text in self.options.dialect.identity.banner {
            self.print(text);
        }
    }
}

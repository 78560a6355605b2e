//! A printer that says anything at any time while a job runs: the streamer never panics, never writes more than its window
//! allows, and always comes to rest.

#![no_main]

use std::cell::LazyCell;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use spoolway_agent_core::Moment;
use spoolway_agent_core::gcode::{Batch, Position};
use spoolway_agent_core::stream::{Doubt, Output, StreamOptions, Streamer};
use spoolway_firmware_profiles::{Profile, Registry};

thread_local! {
    static PROFILES: LazyCell<Vec<Profile>> =
        LazyCell::new(|| Registry::built_in().iter().map(|known| known.profile.clone()).collect());
}

/// Deepest command queue that a firmware is believed.
const QUEUE_MAX: usize = 64;
/// Far more outputs than one input can ask for.
const OUTPUTS_MAX: usize = 5_000;

struct Talk {
    streamer: Streamer,
    now: Moment,
    bytes_max: usize,
}

impl Talk {
    fn serve(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            match self.streamer.poll_output(self.now) {
                Output::Write(bytes) => {
                    assert!(!bytes.is_empty());
                    self.streamer.take_back(bytes);
                }
                Output::Event(_) => {}
                Output::Wait(wake) => {
                    assert!(wake.is_none_or(|at| at > self.now), "it would spin");
                    assert!(self.streamer.bytes_in_flight() <= self.bytes_max);
                    return;
                }
            }
        }
        panic!("it has to come to rest");
    }

    fn feed(&mut self) {
        let mut batch = Batch::default();
        for line in 1..=60 {
            let command = format!("G1 X{line} Y20.5 E.1");
            batch.push(command.as_bytes(), Position { line, byte: line * 20, layer: 0 });
        }
        batch.push(b"M109 S210", Position { line: 61, byte: 1300, layer: 1 });
        batch.push(b"G1 X1", Position { line: 62, byte: 1310, layer: 1 });
        self.streamer.feed(batch);
        self.streamer.feed_end();
    }

    /// One thing that happens; `what` says which.
    fn step(&mut self, what: u8, said: &[u8]) {
        let now = self.now;
        let _refused = match what % 16 {
            0 => self.streamer.begin_job().map(|()| self.feed()),
            1 => self.streamer.pause(),
            2 => self.streamer.cancel(),
            3 => self.streamer.run_script(&[b"M104 S0".to_vec()]),
            4 => self.streamer.resume(now, None),
            5 => self.streamer.resume(now, Some(Doubt::Executed)),
            6 => self.streamer.resume(now, Some(Doubt::Lost)),
            7 => self.streamer.send_aside(b"M105"),
            8 => self.streamer.answer_prompt(now, 1),
            _ => Ok(()),
        };
        self.now = self.now + Duration::from_millis(1 << (what / 16));
        self.streamer.handle_bytes(self.now, said);
        self.serve();
    }
}

fuzz_target!(|input: &[u8]| {
    let [which, reported, rest @ ..] = input else { return };
    PROFILES.with(|profiles| {
        let profile = &profiles[usize::from(*which) % profiles.len()];
        let options = StreamOptions::from_profile(profile, |_| reported % 2 == 0);
        // What lies in a command queue is not counted against the ring, and one line may always go, however long it is.
        let line = options.framing.max_line_bytes + 1;
        let bytes_max = options.reach.bytes.max(line) + QUEUE_MAX * line;
        let mut talk = Talk { streamer: Streamer::new(options, Moment::ZERO), now: Moment::ZERO, bytes_max };
        talk.serve();
        // A 0xff ends what is said at one time; behind it stands what happens next.
        for piece in rest.split(|byte| *byte == 0xff) {
            let Some((what, said)) = piece.split_first() else { continue };
            talk.step(*what, said);
        }
    });
});

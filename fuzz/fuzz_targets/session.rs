//! A peer of the relay that says anything at any time, before its login and after it; each line is a frame.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_protocol::hello::{Binding, Window};
use spoolway_protocol::ids::SessionId;
use spoolway_protocol::{BackendId, Route};
use spoolway_relay::clock::Now;
use spoolway_relay::session::{Heard, Options, Output, Session, Verdict};

/// Answers to one frame; a session says less.
const OUTPUTS_MAX: usize = 16;

fn options() -> Options {
    Options {
        relay_id: "fuzz".into(),
        hb_ms: 1_000,
        dead_ms: 2_500,
        hello_timeout_ms: 500,
        window: Window { events: 256, bytes: 1 },
        telem: Default::default(),
    }
}

fn drain(session: &mut Session) {
    let outputs = std::iter::from_fn(|| session.poll_output()).take(OUTPUTS_MAX + 1);
    let said: Vec<Output> = outputs.collect();
    assert!(said.len() <= OUTPUTS_MAX, "{said:?}");
}

fuzz_target!(|input: &str| {
    let options = options();
    let id = SessionId::new("s").expect("a short word is an id");
    let mut now = Now { ms: 0, unix_ms: 1_700_000_000_000 };
    let mut lines = input.lines();
    let mut session = match lines.next() {
        Some("backend") => Session::backend(now, &options, id),
        _ => Session::agent(now, &options, id, &[7; 32], Binding::None),
    };
    for frame in lines {
        now.ms += 100;
        session.handle_time(now);
        if let Heard::Hello(_) = session.handle_frame(now, Route::parse(frame)) {
            let owner = BackendId::new("farm").expect("a short word is an id");
            session.handle_verdict(now, &options, Verdict::Welcome { owner });
        }
        drain(&mut session);
    }
});

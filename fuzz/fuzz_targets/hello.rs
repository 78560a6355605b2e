//! The first frame of somebody who wants in: what is cut out for the signature is what came, and is JSON without it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_protocol::Route;
use spoolway_protocol::hello::{Binding, Window, attach_signature, split_signature};
use spoolway_protocol::ids::SessionId;
use spoolway_relay::clock::Now;
use spoolway_relay::session::{Heard, Options, Session};

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

fuzz_target!(|frame: &str| {
    // Nothing is cut out of what is no object: it is no hello.
    let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(frame).is_ok();
    if let Some((unsigned, sig)) = split_signature(frame).filter(|_| is_object) {
        assert_eq!(
            split_signature(&attach_signature(&unsigned, &sig).expect("it had members")),
            Some((unsigned, sig))
        );
    }
    let now = Now { ms: 0, unix_ms: 1_700_000_000_000 };
    let id = SessionId::new("s").expect("a short word is an id");
    let mut session = Session::agent(now, &options(), id, &[7; 32], Binding::Exporter);
    if let Heard::Hello(claim) = session.handle_frame(now, Route::parse(frame)) {
        assert!(serde_json::from_str::<serde_json::Value>(&claim.signed).is_ok());
        let whole = attach_signature(&claim.signed, &claim.sig).expect("it had members");
        assert!(frame.contains(&whole), "something else was cut out");
    }
});

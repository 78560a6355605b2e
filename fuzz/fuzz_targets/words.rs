//! Lines of the agent's local socket, both ways: what is read can be written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_agent::local::words::{Answer, Request};

fuzz_target!(|line: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(line) {
        let text = serde_json::to_string(&request).expect("what was read can be written");
        assert_eq!(serde_json::from_str::<Request>(&text).ok(), Some(request));
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(line) {
        let text = serde_json::to_string(&answer).expect("what was read can be written");
        let _again: Answer = serde_json::from_str(&text).expect("what was written can be read");
    }
});

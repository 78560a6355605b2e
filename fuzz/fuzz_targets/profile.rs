//! Profiles that people write: taken, or refused with a finding for each mistake. A profile that is taken can be used.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_agent_core::reply::ReplyParser;
use spoolway_agent_core::stream::StreamOptions;
use spoolway_firmware_profiles::{Origin, parse};

fuzz_target!(|text: &str| {
    match parse(&Origin::BuiltIn("fuzz.toml"), text) {
        Ok(profile) => {
            for reported in [false, true] {
                let options = StreamOptions::from_profile(&profile, |_| reported);
                assert!(options.reach.lines >= 1 && options.reach.bytes >= 1);
            }
            let mut parser = ReplyParser::new(profile.replies);
            let _reply = parser.next(&mut &b"ok T:20 /0\n"[..]);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

//! What a firmware says when it is asked who it is: the greeting comes to an end, and every answer leads to a profile.

#![no_main]

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use spoolway_agent_core::Moment;
use spoolway_agent_core::greeting::{Greeting, GreetingOptions, GreetingOutput};
use spoolway_firmware_profiles::{Registry, identify};

thread_local! {
    static REGISTRY: LazyCell<Registry> = LazyCell::new(Registry::built_in);
}

/// Far more turns than a greeting of two minutes takes.
const TURNS_MAX: usize = 10_000;

fuzz_target!(|input: &[u8]| {
    let mut now = Moment::ZERO;
    let mut greeting = Greeting::new(GreetingOptions::default(), now);
    let mut said = input.chunks(37);
    for _ in 0..TURNS_MAX {
        match greeting.poll_output(now) {
            GreetingOutput::Write(asked) => assert!(asked.ends_with(b"\n")),
            GreetingOutput::Wait(until) => match said.next() {
                Some(bytes) => greeting.handle_bytes(now, bytes),
                None => now = until,
            },
            GreetingOutput::Greeted(greeted) => {
                assert!(greeted.banners.len() <= 64 && greeted.report.capabilities.len() <= 128);
                let known = REGISTRY.with(|registry| {
                    identify(registry, &greeted.banners, &greeted.report).profile.id.clone()
                });
                assert!(!known.is_empty());
                return;
            }
            GreetingOutput::Unanswered(_) => return,
        }
    }
    panic!("a greeting ends");
});

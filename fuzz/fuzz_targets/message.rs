//! Bodies of messages, commands and events: the first line names the kind, the rest is the body. What is read can be
//! written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_protocol::command::CommandArgs;
use spoolway_protocol::event::EventData;
use spoolway_protocol::{Message, Raw};

macro_rules! through {
    ($words:ty, $kind:expr, $body:expr) => {
        if let Ok(found) = <$words>::decode($kind, $body) {
            let again =
                <$words>::decode(found.kind(), &found.encode()).expect("what was read can be written");
            assert_eq!(again.kind(), found.kind());
        }
    };
}

fuzz_target!(|input: &str| {
    let Some((kind, body)) = input.split_once('\n') else { return };
    let Ok(body) = Raw::parse(body.to_owned()) else { return };
    through!(Message, kind, &body);
    through!(CommandArgs, kind, &body);
    through!(EventData, kind, &body);
});

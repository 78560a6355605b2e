//! Text frames: the owned and the borrowed reading agree, what is read is written again and read the same, and a relay
//! that passes a frame on changes nothing but its head.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_protocol::hello::{attach_signature, split_signature};
use spoolway_protocol::{Address, Envelope, Route};

fuzz_target!(|frame: &str| {
    let owned = Envelope::parse(frame);
    let borrowed = Route::parse(frame);
    let (Ok(envelope), Ok(route)) = (&owned, &borrowed) else {
        // An end looks closer than a relay does. What the relay refuses no end takes, but for words of the head that are
        // written with escapes: the relay borrows those, and nobody writes them so.
        assert!(owned.is_err() || frame.contains('\\'), "{borrowed:?}");
        return;
    };
    assert_eq!((envelope.t.as_str(), envelope.body.get()), (route.t, route.body));
    let again = Envelope::parse(&envelope.encode()).expect("what was read can be written");
    assert_eq!((&again.t, again.body.get()), (&envelope.t, envelope.body.get()));
    let from = Address::Relay;
    let passed = Envelope::parse(&route.rewrite(&from, 7)).expect("what is passed on can be read");
    assert_eq!((passed.t.as_str(), passed.body.get()), (envelope.t.as_str(), envelope.body.get()));
    if let Some((unsigned, signature)) = split_signature(route.body) {
        let signed = attach_signature(&unsigned, &signature).expect("what was signed can be signed again");
        assert!(split_signature(&signed).is_some_and(|found| found == (unsigned, signature)));
    }
    let _message_or_reason = envelope.message();
});

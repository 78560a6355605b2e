//! A permit under a signature that always fits: it is judged without a panic, and one that is taken says what the start wants.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_agent_core::permit::{Past, Signature, Start, WallTime, judge};
use spoolway_protocol::envelope::ClockSource;
use spoolway_protocol::{Extra, JobId, Permit, PrinterId, Sha256Hex, SignedPermit};

fuzz_target!(|raw: &[u8]| {
    let start = Start {
        agent: "0G3T7QX2M9KDWZ5R8Y1V4BNCHE".parse().expect("an id"),
        printer: PrinterId::new("p0").expect("a name"),
        job: JobId::new("job-7731").expect("a name"),
        attempt: 1,
        sha256: Sha256Hex([0x11; 32]),
        size: 2_000_113,
        bed_epoch: 41,
    };
    let now = WallTime { unix_ms: 1_760_000_000_500, source: ClockSource::Relay };
    let signed = SignedPermit::new(raw, &[]);
    if let Ok(permit) = judge(&signed, |_, _, _| Signature::Good, &start, &now, &Past::default()) {
        assert_eq!((permit.job.as_str(), permit.attempt, permit.bed_epoch), ("job-7731", 1, 41));
        let again = Permit::parse(&permit.to_bytes()).expect("what was read can be written");
        // Numbers in unknown members may be rounded on the way.
        let known = |permit: &Permit| Permit { extra: Extra::default(), ..permit.clone() };
        assert_eq!(known(&again), known(&permit));
        let past = Past::default().with(&permit);
        assert!(judge(&signed, |_, _, _| Signature::Good, &start, &now, &past).is_err(), "used twice");
    }
});

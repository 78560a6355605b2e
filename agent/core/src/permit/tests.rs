use proptest::prelude::*;
use sha2::{Digest, Sha256};
use spoolway_protocol::raw::Extra;

use super::*;

const NOW_MS: u64 = 1_760_000_000_000;
const FENCE: u64 = 7;

type Change = fn(&mut Permit);

fn agent(byte: u8) -> AgentId {
    AgentId::from_bytes([byte; 16])
}

fn permit() -> Permit {
    Permit {
        v: 1,
        kid: KeyId::new("k1").unwrap(),
        permit_id: PermitId::new("p-9").unwrap(),
        org: "lab".to_owned(),
        agent: agent(1),
        printer: PrinterId::new("p0").unwrap(),
        job: JobId::new("job-1").unwrap(),
        attempt: 2,
        sha256: Sha256Hex([5; 32]),
        size: 1_000,
        max_seconds: Some(3_600),
        bed_epoch: 41,
        nbf: NOW_MS - 1_000,
        start_by: NOW_MS + 900_000,
        fence: FENCE,
        flags: Vec::new(),
        extra: Extra::default(),
    }
}

fn start() -> Start {
    Start {
        agent: agent(1),
        printer: PrinterId::new("p0").unwrap(),
        job: JobId::new("job-1").unwrap(),
        attempt: 2,
        sha256: Sha256Hex([5; 32]),
        size: 1_000,
        bed_epoch: 41,
    }
}

/// Stands for a signature: nobody makes one for other bytes by chance.
fn seal(raw: &[u8]) -> Vec<u8> {
    Sha256::digest(raw).to_vec()
}

fn ask(kid: &KeyId, raw: &[u8], sig: &[u8]) -> Signature {
    match kid.as_str() {
        "k1" | "k2" if seal(raw) == sig => Signature::Good,
        "k1" | "k2" => Signature::Bad,
        _ => Signature::UnknownKey,
    }
}

fn sign(permit: &Permit) -> SignedPermit {
    let raw = permit.to_bytes();
    SignedPermit::new(&raw, &seal(&raw))
}

fn at(unix_ms: u64) -> WallTime {
    WallTime { unix_ms, source: ClockSource::Relay }
}

fn past() -> Past {
    Past { fence: FENCE, used: [PermitId::new("p-8").unwrap()].into() }
}

fn verdict(permit: &Permit) -> Result<Permit, Fault> {
    judge(&sign(permit), ask, &start(), &at(NOW_MS), &past()).map_err(|refused| refused.fault)
}

fn changed(change: impl FnOnce(&mut Permit)) -> Result<Permit, Fault> {
    let mut other = permit();
    change(&mut other);
    verdict(&other)
}

#[test]
fn a_good_permit_is_taken_with_all_that_it_says() {
    assert_eq!(verdict(&permit()), Ok(permit()));
    assert!(changed(|p| p.kid = KeyId::new("k2").unwrap()).is_ok(), "the second slot");
    assert!(changed(|p| p.fence += 3).is_ok(), "a later fence");
    assert!(changed(|p| p.flags = vec![PermitFlag::PauseOverTime]).is_ok());
}

#[test]
fn a_permit_for_anything_else_is_foreign() {
    let changes: [Change; 7] = [
        |p| p.agent = agent(2),
        |p| p.printer = PrinterId::new("p1").unwrap(),
        |p| p.job = JobId::new("job-2").unwrap(),
        |p| p.attempt = 1,
        |p| p.attempt = 3,
        |p| p.sha256 = Sha256Hex([6; 32]),
        |p| p.size += 1,
    ];
    for change in changes {
        assert_eq!(changed(change), Err(Fault::PermitForeign));
    }
}

#[test]
fn every_other_refusal_has_a_fault_of_its_own() {
    let cases: [(Change, Fault); 8] = [
        (|p| p.v = 2, Fault::PermitUnsupported),
        (|p| p.flags = vec![PermitFlag::from("dance")], Fault::PermitUnsupported),
        (|p| p.kid = KeyId::new("k3").unwrap(), Fault::PermitUnknownKey),
        (|p| p.permit_id = PermitId::new("p-8").unwrap(), Fault::PermitReplayed),
        (|p| p.fence -= 1, Fault::PermitFence),
        (|p| p.bed_epoch -= 1, Fault::PermitBedEpoch),
        (|p| p.bed_epoch += 1, Fault::PermitBedEpoch),
        (|p| p.start_by = NOW_MS - GRACE_MS - 1, Fault::PermitExpired),
    ];
    for (change, fault) in cases {
        assert_eq!(changed(change), Err(fault));
    }
}

#[test]
fn clocks_may_differ_by_the_grace_and_no_more() {
    for (permits, wanted) in [
        (changed(|p| p.nbf = NOW_MS + GRACE_MS), None),
        (changed(|p| p.nbf = NOW_MS + GRACE_MS + 1), Some(Fault::PermitNotYetValid)),
        (changed(|p| p.start_by = NOW_MS - GRACE_MS), None),
        (changed(|p| p.start_by = NOW_MS - GRACE_MS - 1), Some(Fault::PermitExpired)),
        (changed(|p| (p.nbf, p.start_by) = (0, u64::MAX)), None),
        (changed(|p| (p.nbf, p.start_by) = (u64::MAX, u64::MAX)), Some(Fault::PermitNotYetValid)),
    ] {
        assert_eq!(permits.err(), wanted);
    }
}

#[test]
fn without_a_time_to_trust_nothing_is_judged_to_be_in_time() {
    for source in [ClockSource::Floor, ClockSource::None, ClockSource::Unknown("sundial".to_owned())] {
        let now = WallTime { unix_ms: NOW_MS, source };
        let refused = judge(&sign(&permit()), ask, &start(), &now, &past()).unwrap_err();
        assert_eq!(refused.fault, Fault::PermitNoClock);
    }
    let now = WallTime { unix_ms: NOW_MS, source: ClockSource::Ntp };
    assert!(judge(&sign(&permit()), ask, &start(), &now, &past()).is_ok());
}

#[test]
fn bytes_that_are_no_permit_are_malformed() {
    let long = format!("{{\"v\":1,\"x\":\"{}\"}}", "y".repeat(PERMIT_BYTES));
    let negative = String::from_utf8(permit().to_bytes()).unwrap().replace("\"size\":1000", "\"size\":-1");
    for raw in ["", "{}", "[]", "{\"v\":1}", "{\"v\":\"1\"}", &long, &negative] {
        let signed = SignedPermit::new(raw.as_bytes(), &seal(raw.as_bytes()));
        let refused = judge(&signed, ask, &start(), &at(NOW_MS), &past()).unwrap_err();
        assert_eq!(refused.fault, Fault::PermitMalformed, "{raw:.40}");
    }
}

#[test]
fn a_permit_that_was_used_is_not_taken_again() {
    let before = Past::default();
    let after = before.with(&permit());
    assert_eq!(after.fence, FENCE);
    let again = judge(&sign(&permit()), ask, &start(), &at(NOW_MS), &after).unwrap_err();
    assert_eq!(again.fault, Fault::PermitReplayed);
    let lower = Permit { fence: 1, permit_id: PermitId::new("p-10").unwrap(), ..permit() };
    assert_eq!(after.with(&lower).fence, FENCE, "a fence never falls");
}

#[test]
fn what_is_remembered_is_bounded_and_survives_being_stored() {
    let mut past = Past::default();
    for n in 0..USED_PERMITS + 10 {
        past = past.with(&Permit { permit_id: PermitId::new(format!("p-{n}")).unwrap(), ..permit() });
    }
    assert_eq!(past.used.len(), USED_PERMITS);
    assert_eq!(past.used.back().unwrap().as_str(), format!("p-{}", USED_PERMITS + 9));
    let text = serde_json::to_string(&past).unwrap();
    assert_eq!(serde_json::from_str::<Past>(&text).unwrap(), past);
}

proptest! {
    #[test]
    fn one_altered_bit_is_always_refused(at_bit in 0_usize..8 * 4_000) {
        let mut signed = sign(&permit());
        let bit = at_bit % (8 * signed.raw.0.len());
        signed.raw.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(judge(&signed, ask, &start(), &at(NOW_MS), &past()).is_err());
    }

    #[test]
    fn any_bytes_are_judged(raw in proptest::collection::vec(any::<u8>(), 0..200), sig in any::<Vec<u8>>()) {
        prop_assert!(judge(&SignedPermit::new(&raw, &sig), ask, &start(), &at(NOW_MS), &past()).is_err());
    }
}

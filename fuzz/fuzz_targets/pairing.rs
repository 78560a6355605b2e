//! Bodies of pairing, enrolment, forgetting and a new key, as strangers send them, one a line: what is read can be written and read again,
//! nobody is paired without a yes of both ends, and a lineage that nobody has signed leads nowhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use spoolway_protocol::identity::Rotate;
use spoolway_protocol::pairing::{
    Enrol, Forget, PairApprove, PairClaim, PairSay, PairSeen, PairStart, PairStep, PairView,
};
use spoolway_relay_gateway::lineage::{agent_of, followed_by};
use spoolway_relay_registry::pairing::{Act, By, Came, Claim, Pairing};

/// Reads it; what was read can be written and read again.
fn read<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(line: &str) -> Option<T> {
    let read: T = serde_json::from_str(line).ok()?;
    let text = serde_json::to_string(&read).expect("what was read can be written");
    let again: T = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).ok(), Some(text));
    Some(read)
}

fn bytes32(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok()
}

#[derive(Default)]
struct Yes {
    agent: bool,
    backend: bool,
}

fuzz_target!(|input: &str| {
    let farm = By::Backend("farm".parse().expect("a name"));
    let (mut pairing, mut yes, mut now_ms): (Option<Pairing>, Yes, u64) = (None, Yes::default(), 0);
    for line in input.lines() {
        now_ms += 1_000;
        let act = if let Some(start) = read::<PairStart>(line) {
            let Some(key) = bytes32(&start.pubkey.0) else { continue };
            let lineage = start.lineage.as_ref();
            let Some((agent, before)) = agent_of(&key, lineage) else { continue };
            assert!(before.is_empty(), "nobody has signed that");
            (pairing, yes) =
                (Some(Pairing::begin(now_ms, agent, key, &start.info, start.commit)), Yes::default());
            continue;
        } else if let Some(step) = read::<PairStep>(line) {
            let act = match step.say {
                PairSay::Look => Act::Look,
                PairSay::Yes => Act::Yes(String::new()),
                PairSay::No => Act::No,
                PairSay::Reveal => match step.nonce.and_then(|nonce| bytes32(&nonce.0)) {
                    Some(nonce) => Act::Reveal(nonce),
                    None => continue,
                },
            };
            (By::Agent, act)
        } else if let Some(claim) = read::<PairClaim>(line) {
            let Some(nonce) = bytes32(&claim.nonce.0) else { continue };
            let keys = claim.keys.iter().filter_map(|key| bytes32(&key.0)).collect();
            let backend = "farm".parse().expect("a name");
            (farm.clone(), Act::Claim(Claim { backend, organisation: String::new(), nonce, keys }))
        } else if let Some(rotate) = read::<Rotate>(line) {
            let old = bytes32(&rotate.pubkey_old.0).unwrap_or_default();
            assert_eq!(followed_by(&rotate.agent_id, &old, &rotate.link), None, "nobody has signed that");
            continue;
        } else if let Some(approve) = read::<PairApprove>(line) {
            (farm.clone(), Act::Yes(approve.name))
        } else {
            let _ =
                (read::<Enrol>(line), read::<Forget>(line), read::<PairView>(line), read::<PairSeen>(line));
            continue;
        };
        let Some(pairing) = &mut pairing else { continue };
        let (by, act) = act;
        let is_yes = matches!(act, Act::Yes(_));
        let came = pairing.handle(now_ms, &by, act);
        if is_yes && came.is_ok() {
            *if by == By::Agent { &mut yes.agent } else { &mut yes.backend } = true;
        }
        if matches!(came, Ok(Came::Paired(..))) {
            assert!(yes.agent && yes.backend, "paired without a yes of both ends");
        }
    }
});

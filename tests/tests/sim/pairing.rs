//! The agent's machine of a pairing against the relay's, by the thousand: answers that are lost, requests that come twice, people who take
//! their time, two backends that want one code, and a relay that sits in between.

use std::time::Duration;

use sha2::{Digest, Sha256};
use spoolway_agent_core::Moment;
use spoolway_agent_core::pairing::{
    PairAnswer, PairRequest, PairedWith, Pairing, PairingOptions, PairingOutput,
};
use spoolway_protocol::pairing::{
    PairInfo, PairOwner, PairSay, PairStarted, PairState, fingerprint_bytes, words_of,
};
use spoolway_protocol::{AgentId, B64, BackendId, Fault, Sha256Hex};
use spoolway_relay_registry::pairing::{Act, By, Came, Claim, Pairing as Row, Refused};
use spoolway_tests::rng::Rng;

const SEEDS: u64 = 2_000;
const AGENT_KEY: [u8; 32] = [1; 32];

type Words = [&'static str; 4];

/// A backend and the person who looks at its screen.
struct Office {
    by: By,
    claim: Claim,
    has_claimed: bool,
    /// Whether it will say yes; its person also compares.
    wants: bool,
}

struct Sim {
    rng: Rng,
    now: Moment,
    agent: Pairing,
    row: Option<Row>,
    offices: [Office; 2],
    /// Who became the owner, as the relay has it: at most once.
    owner: Option<BackendId>,
    /// What the agent shows, and what its person will say.
    shown: Option<(BackendId, Words)>,
    agent_wants: bool,
    /// How often people look, for each step.
    pace: f64,
    ended: Option<Result<PairedWith, Fault>>,
}

fn bytes(rng: &mut Rng) -> [u8; 32] {
    std::array::from_fn(|_| rng.next_u64().to_le_bytes()[0])
}

fn office(rng: &mut Rng, name: &str, key: u8) -> Office {
    let backend: BackendId = name.parse().unwrap();
    let claim = Claim {
        backend: backend.clone(),
        organisation: "lab".into(),
        nonce: bytes(rng),
        keys: vec![[key; 32]],
    };
    Office { by: By::Backend(backend), claim, has_claimed: false, wants: rng.chance(0.8) }
}

/// What the screen of a backend shows of a row.
fn words_at(row: &Row, claim: &Claim) -> Option<Words> {
    let nonce = row.nonce()?;
    let bytes = fingerprint_bytes((&row.public_key, nonce), (&claim.backend, &claim.nonce), &claim.keys);
    Some(words_of(&Sha256::digest(bytes).into()))
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let now = Moment::from_millis(5_000);
        let options = PairingOptions {
            public_key: AGENT_KEY,
            nonce: bytes(&mut rng),
            info: PairInfo::default(),
            lineage: None,
        };
        let offices = [office(&mut rng, "farm", 7), office(&mut rng, "other", 8)];
        let agent_wants = rng.chance(0.8);
        let agent = Pairing::new(now, options);
        // Some people have gone home.
        let pace = if rng.chance(0.2) { 0.001 } else { 0.3 };
        Self { rng, now, agent, row: None, offices, owner: None, shown: None, agent_wants, pace, ended: None }
    }

    fn unix_ms(&self) -> u64 {
        1_760_000_000_000 + self.now.as_millis()
    }

    /// The relay hears something, perhaps twice.
    fn act(&mut self, by: &By, act: &Act) -> Result<(), Refused> {
        let mut outcome = Ok(());
        for _ in 0..=u8::from(self.rng.chance(0.2)) {
            let now_ms = self.unix_ms();
            let row = self.row.as_mut().ok_or(Refused::Unknown)?;
            outcome = match row.handle(now_ms, by, act.clone()) {
                Ok(Came::Paired(owner, _)) => {
                    assert_eq!(self.owner.replace(owner), None, "paired twice");
                    Ok(())
                }
                Ok(Came::Changed | Came::Unchanged) => Ok(()),
                Err(refused) => Err(refused),
            };
        }
        outcome
    }

    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(self.rng.below(6_000));
        match self.agent.poll_output(self.now) {
            PairingOutput::Post(request) => self.post(request),
            PairingOutput::Compare { owner, words, .. } => self.shown = Some((owner, words)),
            PairingOutput::Paired(with) => self.ended = Some(Ok(with)),
            PairingOutput::Failed(failure) => self.ended = Some(Err(failure.fault)),
            PairingOutput::ShowCode(_) | PairingOutput::Wait(_) | PairingOutput::Over => {}
        }
        for at in 0..self.offices.len() {
            if self.rng.chance(self.pace) {
                self.office(at);
            }
        }
        if self.shown.is_some() && self.rng.chance(self.pace) {
            self.agent.handle_word(self.now, self.agent_wants);
        }
    }

    fn post(&mut self, request: PairRequest) {
        let answer = match request {
            PairRequest::Start(start) => {
                let agent = AgentId::from_bytes([1; 16]);
                self.row = Some(Row::begin(self.unix_ms(), agent, AGENT_KEY, &start.info, start.commit));
                PairAnswer::Started(PairStarted {
                    pair_id: "p".into(),
                    code: "K7QX-M4TD".parse().unwrap(),
                    expires_s: 900,
                    poll_ms: 2_000,
                    link: String::new(),
                    extra: Default::default(),
                })
            }
            PairRequest::Step(step) => {
                let act = match step.say {
                    PairSay::Look => Act::Look,
                    PairSay::Reveal => Act::Reveal(step.nonce.unwrap().0.try_into().unwrap()),
                    PairSay::Yes => Act::Yes(String::new()),
                    PairSay::No => Act::No,
                };
                let lost = || PairAnswer::Lost { fault: Fault::RelayUnreachable, detail: String::new() };
                if self.rng.chance(0.15) {
                    return self.agent.handle_answer(self.now, lost());
                }
                match self.act(&By::Agent, &act) {
                    _ if self.rng.chance(0.15) => lost(),
                    Ok(()) => PairAnswer::Seen(self.row.as_ref().unwrap().view(self.unix_ms())),
                    Err(refused) => PairAnswer::Refused {
                        code: if refused == Refused::Expired { "expired" } else { "conflict" }.into(),
                        detail: refused.to_string(),
                        retry_after_ms: None,
                    },
                }
            }
        };
        self.agent.handle_answer(self.now, answer);
    }

    /// What a backend's person does next.
    fn office(&mut self, at: usize) {
        let Office { by, claim, has_claimed, wants } = &self.offices[at];
        let (by, claim, wants) = (by.clone(), claim.clone(), *wants);
        if !has_claimed {
            let claimed = self.act(&by, &Act::Claim(claim));
            self.offices[at].has_claimed = claimed.is_ok();
            return;
        }
        let theirs = self.row.as_ref().and_then(|row| words_at(row, &claim));
        // The person goes over and compares both screens.
        let (Some(theirs), Some((owner, ours))) = (theirs, &self.shown) else { return };
        assert!(
            *owner != claim.backend || theirs == *ours,
            "an honest relay shows the same words at both ends"
        );
        let act = if wants && *owner == claim.backend { Act::Yes("left".into()) } else { Act::No };
        // Too late is no matter here.
        let _ = self.act(&by, &act);
    }
}

#[test]
fn both_ends_agree_whatever_is_lost_or_doubled() {
    let (mut paired, mut denied, mut expired) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut sim = Sim::new(seed);
        for _ in 0..600 {
            sim.step();
            if sim.ended.is_some() {
                break;
            }
        }
        let ended = sim.ended.clone().unwrap_or_else(|| panic!("seed {seed} does not end"));
        let claimers = sim.offices.iter().filter(|office| office.has_claimed).count();
        assert!(claimers <= 1, "seed {seed}: a code is taken once");
        match ended {
            Ok(with) => {
                assert_eq!(
                    sim.owner.as_ref(),
                    Some(&with.owner),
                    "seed {seed}: the agent believes what is not so"
                );
                let office = sim.offices.iter().find(|office| office.claim.backend == with.owner).unwrap();
                assert!(sim.agent_wants && office.wants && office.claim.keys == with.keys, "seed {seed}");
                paired += 1;
            }
            Err(fault) => {
                // The last answer may be lost until the time is over: then the agent pairs once more, which does no harm.
                assert!(sim.owner.is_none() || fault == Fault::PairExpired, "seed {seed}: {fault}");
                match fault {
                    Fault::PairDenied | Fault::PairWordsDiffer => denied += 1,
                    Fault::PairExpired => expired += 1,
                    fault => panic!("seed {seed}: {fault}"),
                }
            }
        }
    }
    assert!(paired > SEEDS / 4 && denied > SEEDS / 10 && expired > 0, "{paired} {denied} {expired}");
}

/// A relay that has its own keys at both ends: it has to commit to each before it knows the words, so that they differ.
#[test]
fn a_relay_in_between_cannot_make_the_words_the_same() {
    let farm: BackendId = "farm".parse().unwrap();
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed);
        let now = Moment::from_millis(0);
        let options = PairingOptions {
            public_key: AGENT_KEY,
            nonce: bytes(&mut rng),
            info: PairInfo::default(),
            lineage: None,
        };
        let mut agent = Pairing::new(now, options);
        let PairingOutput::Post(PairRequest::Start(start)) = agent.poll_output(now) else {
            panic!("a start")
        };
        // Towards the backend: a key and a commitment of the relay's own.
        let (false_key, false_nonce) = (bytes(&mut rng), bytes(&mut rng));
        let commit = Sha256Hex(Sha256::digest(false_nonce).into());
        let mut row = Row::begin(0, AgentId::from_bytes([2; 16]), false_key, &start.info, commit);
        let theirs = Claim {
            backend: farm.clone(),
            organisation: "lab".into(),
            nonce: bytes(&mut rng),
            keys: vec![[7; 32]],
        };
        row.handle(0, &By::Backend(farm.clone()), Act::Claim(theirs.clone())).unwrap();
        row.handle(0, &By::Agent, Act::Reveal(false_nonce)).unwrap();
        let at_backend = words_at(&row, &theirs).unwrap();
        // Towards the agent: a backend's key of the relay's own, and the number that it has seen at the backend.
        let started = PairStarted {
            pair_id: "p".into(),
            code: "K7QX-M4TD".parse().unwrap(),
            expires_s: 900,
            poll_ms: 500,
            link: String::new(),
            extra: Default::default(),
        };
        agent.handle_answer(now, PairAnswer::Started(started));
        let nonce = if rng.chance(0.5) { theirs.nonce } else { bytes(&mut rng) };
        let owner = PairOwner {
            backend: farm.clone(),
            organisation: "lab".into(),
            nonce: B64(nonce.to_vec()),
            keys: vec![B64(bytes(&mut rng).to_vec())],
        };
        let mut at = now;
        let at_agent = loop {
            at = at + Duration::from_millis(500);
            match agent.poll_output(at) {
                PairingOutput::Post(PairRequest::Step(step)) => {
                    let state =
                        if step.say == PairSay::Reveal { PairState::Shown } else { PairState::Claimed };
                    let view = spoolway_protocol::pairing::PairView {
                        state,
                        owner: Some(owner.clone()),
                        extra: Default::default(),
                    };
                    agent.handle_answer(at, PairAnswer::Seen(view));
                }
                PairingOutput::Compare { words, .. } => break words,
                PairingOutput::ShowCode(_) | PairingOutput::Wait(_) => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        };
        assert_ne!(at_agent, at_backend, "seed {seed}");
    }
}

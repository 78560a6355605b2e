//! An agent and a relay change a key, and either of them is killed at any step, loses what it was told, or is away for weeks: the agent
//! can always log in, the owner knows every key that signs, and a stolen old key is worth nothing once its time is over.

use std::collections::BTreeSet;
use std::time::Duration;

use spoolway_agent_core::moment::Moment;
use spoolway_agent_core::rotation::{Link, Offer, OfferAnswer, OnDisk, Rotation, RotationOutput};
use spoolway_protocol::Fault;
use spoolway_protocol::identity::OVERLAP_MS;
use spoolway_relay_registry::keys::{KeyRefused, Keys, Taken, Worth};
use spoolway_tests::rng::Rng;

const SEEDS: u64 = 4_000;
const STEPS: usize = 120;
const HOUR_MS: u64 = 3_600_000;
/// A key that somebody else has made.
const THIEFS: [u8; 32] = [0xff; 32];

fn key(number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

/// What a power cut leaves of an agent.
#[derive(Debug, Clone)]
struct Disk {
    keys: Vec<u64>,
    next: Option<u64>,
    since_ms: u64,
    is_untold: bool,
    /// Keys of which the owner's event is stored.
    told: BTreeSet<u64>,
}

impl Disk {
    fn current(&self) -> u64 {
        self.keys[self.keys.len() - 1]
    }

    fn seen(&self) -> OnDisk {
        let (is_prepared, is_untold) = (self.next.is_some(), self.is_untold);
        OnDisk { links: self.keys.len() - 1, since_ms: self.since_ms, is_prepared, is_untold }
    }
}

struct World {
    rng: Rng,
    now_ms: u64,
    disk: Disk,
    machine: Rotation,
    /// The key in the agent's memory.
    signs: u64,
    relay: Keys,
    /// The relay's registry as it was before its last change.
    backup: Keys,
    is_key_refused: bool,
    made: u64,
    kills: u64,
    changes: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let disk =
            Disk { keys: vec![0], next: None, since_ms: 0, is_untold: false, told: BTreeSet::from([0]) };
        let relay = Keys { current: key(0), old: Vec::new() };
        let machine = Rotation::new(disk.seen(), seed);
        let (signs, made, kills, changes) = (0, 0, 0, 0);
        let backup = relay.clone();
        let rng = Rng::new(seed);
        Self {
            rng,
            now_ms: 1,
            disk,
            machine,
            signs,
            relay,
            backup,
            is_key_refused: false,
            made,
            kills,
            changes,
        }
    }

    fn now(&self) -> Moment {
        Moment::from_millis(self.now_ms)
    }

    /// The agent is started again; a usage record that it signs at once is one whose key the owner knows.
    fn restart(&mut self) {
        self.kills += 1;
        self.machine = Rotation::new(self.disk.seen(), 1);
        if self.disk.is_untold {
            // What `tell_first` does, unless the power goes once more in between.
            self.disk.told.insert(self.disk.current());
            self.disk.is_untold = self.rng.chance(0.3);
            self.machine = Rotation::new(self.disk.seen(), 1);
        }
        self.signs = self.disk.current();
    }

    /// The agent logs in with what it signs with.
    fn login(&mut self) -> bool {
        let worth = self.relay.worth(&key(self.signs), self.now_ms);
        let is_in = matches!(worth, Worth::Current | Worth::Overlap);
        self.is_key_refused = !is_in;
        is_in
    }

    fn step(&mut self) {
        let is_up = self.login();
        let link = Link { is_named: true, is_up, is_key_refused: self.is_key_refused };
        self.machine.handle_link(self.now(), link);
        if self.rng.chance(0.2) {
            drop(self.machine.handle_wish(self.now(), Some(self.now_ms)));
        }
        let dies = |world: &mut Self| world.rng.chance(0.08);
        match self.machine.poll_output(self.now(), Some(self.now_ms)) {
            RotationOutput::Prepare => {
                self.made += 1;
                // A key alone, for which nobody has signed yet, is one of which nobody knows.
                if dies(self) {
                    return self.restart();
                }
                self.disk.next = Some(self.made);
                if dies(self) {
                    return self.restart();
                }
                self.machine.handle_prepared(Ok(()));
            }
            RotationOutput::Post(offer) => self.post(offer),
            RotationOutput::Switch => {
                if dies(self) {
                    return self.restart();
                }
                let next = self.disk.next.take().expect("what is switched to was prepared");
                self.disk.keys.push(next);
                (self.disk.since_ms, self.disk.is_untold) = (self.now_ms, true);
                self.changes += 1;
                if dies(self) {
                    return self.restart();
                }
                self.machine.handle_switched(self.now(), Ok(self.now_ms));
            }
            RotationOutput::Tell => {
                let is_told = !self.rng.chance(0.2);
                if is_told {
                    self.disk.told.insert(self.disk.current());
                }
                if dies(self) {
                    return self.restart();
                }
                self.machine.handle_told(self.now(), is_told);
            }
            RotationOutput::Adopt => {
                self.signs = self.disk.current();
                self.disk.is_untold = false;
                if dies(self) {
                    return self.restart();
                }
                self.machine.handle_adopted(self.now(), true);
            }
            RotationOutput::Said(_) => {}
            RotationOutput::Wait(until) => {
                let least = until.map_or(Duration::ZERO, |until| until.since(self.now()));
                self.now_ms += u64::try_from(least.as_millis()).unwrap() + self.rng.below(HOUR_MS);
                // A printer that is put away for some weeks.
                if self.rng.chance(0.1) {
                    self.now_ms += self.rng.below(3 * OVERLAP_MS);
                    self.restart();
                }
            }
        }
    }

    fn take(&mut self, old: u64, new: u64) -> Result<Taken, KeyRefused> {
        let before = self.relay.clone();
        let taken = self.relay.take(self.now_ms, &key(old), &key(new));
        if self.relay != before {
            self.backup = before;
        }
        taken
    }

    fn post(&mut self, offer: Offer) {
        let (old, new) = match offer {
            Offer::Next => (self.disk.current(), self.disk.next.expect("what is offered was prepared")),
            Offer::Last => (self.disk.keys[self.disk.keys.len() - 2], self.disk.current()),
        };
        let lost = || OfferAnswer::Lost { fault: Fault::NetworkTcp, detail: String::new() };
        // The request is lost, or the relay dies before it has committed.
        if self.rng.chance(0.2) {
            return self.machine.handle_answer(self.now(), lost());
        }
        let taken = self.take(old, new);
        // The answer is lost, the relay dies behind its commit, or the agent does.
        if self.rng.chance(0.2) {
            return self.machine.handle_answer(self.now(), lost());
        }
        if self.rng.chance(0.1) {
            return self.restart();
        }
        let answer = match taken {
            Ok(_) => OfferAnswer::Taken,
            Err(refused) => {
                let detail = refused.to_string();
                OfferAnswer::Refused { code: "retired".into(), detail, retry_after_ms: None }
            }
        };
        self.machine.handle_answer(self.now(), answer);
    }

    /// Whoever dies now leaves an agent that gets in.
    fn check(&mut self, seed: u64) {
        let about = format!("seed {seed}: {:?} {:?}", self.disk, self.relay);
        assert!(self.disk.told.contains(&self.signs), "the owner does not know the key that signs: {about}");
        let worth = |number| self.relay.worth(&key(number), self.now_ms);
        let gets_in = matches!(worth(self.disk.current()), Worth::Current | Worth::Overlap);
        let by_next = self.disk.next.is_some_and(|next| worth(next) == Worth::Current);
        assert!(gets_in || by_next, "{about}");
        // Whoever has stolen a key that was replaced gets nowhere with it.
        for old in self.relay.old.clone() {
            assert!(self.relay.take(self.now_ms, &old.key, &THIEFS).is_err(), "{about}");
            assert!(self.relay.take(self.now_ms, &self.relay.current.clone(), &old.key).is_err(), "{about}");
        }
        let good = self.relay.old.iter().filter(|old| self.now_ms < old.until_ms).count();
        assert!(good <= 1, "more than one old key is good: {about}");
    }

    /// Nothing more happens to either of them.
    fn come_to_rest(&mut self, seed: u64) {
        for _ in 0..200 {
            let is_up = self.login();
            let link = Link { is_named: true, is_up, is_key_refused: self.is_key_refused };
            self.machine.handle_link(self.now(), link);
            match self.machine.poll_output(self.now(), Some(self.now_ms)) {
                RotationOutput::Prepare => {
                    self.made += 1;
                    self.disk.next = Some(self.made);
                    self.machine.handle_prepared(Ok(()));
                }
                RotationOutput::Post(Offer::Next) => {
                    let next = self.disk.next.unwrap();
                    let taken = self.take(self.disk.current(), next);
                    let no = |_| OfferAnswer::Refused {
                        code: "bad_sig".into(),
                        detail: String::new(),
                        retry_after_ms: None,
                    };
                    let answer = taken.map_or_else(no, |_| OfferAnswer::Taken);
                    self.machine.handle_answer(self.now(), answer);
                }
                RotationOutput::Post(Offer::Last) => {
                    let old = self.disk.keys[self.disk.keys.len() - 2];
                    let taken = self.take(old, self.disk.current());
                    assert!(taken.is_ok(), "seed {seed}: {taken:?}");
                    self.machine.handle_answer(self.now(), OfferAnswer::Taken);
                }
                RotationOutput::Switch => {
                    self.disk.keys.push(self.disk.next.take().unwrap());
                    (self.disk.since_ms, self.disk.is_untold) = (self.now_ms, true);
                    self.machine.handle_switched(self.now(), Ok(self.now_ms));
                }
                RotationOutput::Tell => {
                    self.disk.told.insert(self.disk.current());
                    self.machine.handle_told(self.now(), true);
                }
                RotationOutput::Adopt => {
                    (self.signs, self.disk.is_untold) = (self.disk.current(), false);
                    self.machine.handle_adopted(self.now(), true);
                }
                RotationOutput::Said(_) => {}
                RotationOutput::Wait(None) => return,
                RotationOutput::Wait(Some(until)) => self.now_ms = until.as_millis() + 1,
            }
        }
        panic!("seed {seed}: no end");
    }
}

#[test]
fn whoever_is_killed_at_whatever_step_the_agent_gets_in_and_its_owner_knows_its_key() {
    let (mut kills, mut changes) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
            world.check(seed);
        }
        world.come_to_rest(seed);
        world.check(seed);
        assert!(world.login(), "seed {seed}");
        assert_eq!(key(world.signs), world.relay.current, "seed {seed}: both have the same key at the end");
        (kills, changes) = (kills + world.kills, changes + world.changes);
    }
    assert!(kills > SEEDS * 5 && changes > SEEDS as usize, "{kills} kills, {changes} changes");
}

#[test]
fn a_relay_whose_registry_came_from_a_backup_is_told_of_the_last_change_again() {
    for seed in 0..SEEDS / 4 {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.come_to_rest(seed);
        // Of the time before the last change of the key.
        world.relay = world.backup.clone();
        world.come_to_rest(seed);
        assert!(world.login(), "seed {seed}: {:?} {:?}", world.disk, world.relay);
        assert_eq!(key(world.signs), world.relay.current, "seed {seed}");
    }
}

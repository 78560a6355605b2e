//! The life of jobs against a model that knows nothing of tables: one printer, one bed, many jobs, and a kill at any time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use spoolway_agent_core::job::{Bed, Job, JobQueue, Place, Queued, lawful};
use spoolway_protocol::event::JobStateChanged;
use spoolway_protocol::job::StartRule;
use spoolway_protocol::{JobId, JobState};

const SEEDS: u64 = 4_000;
const STEPS: u64 = 120;
const JOBS: u64 = 5;

/// A small generator, so that a failing seed can be named.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64: neighbouring rolls have nothing to do with one another.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len() as u64) as usize]
    }
}

/// What the disk would hold: rows, the bed, and every event in order.
#[derive(Clone, Default)]
struct Disk {
    rows: BTreeMap<JobId, (JobState, u64, u32)>,
    places: Vec<Queued>,
    bed: Bed,
    events: Vec<(JobId, JobStateChanged)>,
    attempts: BTreeSet<(JobId, u32)>,
    /// Bed epochs in which a start was sent.
    starts: Vec<u64>,
}

/// What the process holds.
struct World {
    disk: Disk,
    jobs: BTreeMap<JobId, Job>,
    queue: JobQueue,
    /// Virtual time, unix ms.
    now: u64,
}

impl World {
    fn restore(disk: Disk, now: u64) -> Self {
        let jobs = disk.rows.iter().map(|(id, (state, rev, attempt))| {
            (id.clone(), Job::restore(id.clone(), *state, *rev, *attempt))
        });
        let jobs: BTreeMap<_, _> = jobs.collect();
        let mut queue = JobQueue::new();
        for place in &disk.places {
            queue.put(Queued { state: jobs[&place.job_id].state(), ..place.clone() }).unwrap();
        }
        let mut world = Self { disk, jobs, queue, now };
        let ids: Vec<JobId> = world.jobs.keys().cloned().collect();
        for id in ids {
            let told = world.jobs.get_mut(&id).unwrap().after_restart();
            if let Some(event) = told {
                world.keep(&id, event);
            }
        }
        world
    }

    /// One row and one event.
    fn keep(&mut self, id: &JobId, event: JobStateChanged) {
        let job = &self.jobs[id];
        self.disk.rows.insert(id.clone(), (job.state(), job.rev(), job.attempt()));
        self.queue.set_state(id, job.state());
        self.disk.events.push((id.clone(), event));
    }

    fn offer(&mut self, dice: &mut Dice) {
        let id = JobId::new(format!("j{}", self.jobs.len())).unwrap();
        let (job, event) = Job::offered(id.clone());
        let from = self.now + dice.roll(2_000);
        let place = Queued {
            job_id: id.clone(),
            state: JobState::Offered,
            start: dice.pick(&[StartRule::WhenReady, StartRule::At, StartRule::Manual]).clone(),
            priority: dice.roll(3) as i32,
            position: dice.roll(3) as i64,
            not_before: (dice.roll(2) == 0).then_some(from),
            not_after: (dice.roll(4) == 0).then_some(from + 3_000),
            held: dice.roll(8) == 0,
        };
        self.queue.put(place.clone()).unwrap();
        self.disk.places.push(place);
        self.jobs.insert(id.clone(), job);
        self.keep(&id, event);
    }

    /// Any move that somebody may think of; the table decides.
    fn step(&mut self, dice: &mut Dice) {
        let ids: Vec<JobId> = self.jobs.keys().cloned().collect();
        let id = dice.pick(&ids).clone();
        let to = *dice.pick(&JobState::ALL);
        let job = self.jobs.get_mut(&id).unwrap();
        let (before, from) = (job.clone(), job.state());
        let starts = to == JobState::Starting;
        let told = if starts {
            // Some starts are repeats of one that has begun.
            job.begin(before.attempt() + 1 - u32::from(dice.roll(3) == 0), None).ok()
        } else {
            job.move_to(to, None).ok()
        };
        match told {
            None => assert_eq!(self.jobs[&id], before, "a refused move changes nothing"),
            Some(event) => {
                assert!(lawful(from, to), "{from} to {to}");
                if starts {
                    let attempt = self.jobs[&id].attempt();
                    assert!(
                        self.disk.attempts.insert((id.clone(), attempt)),
                        "{id} attempt {attempt} begins twice"
                    );
                    self.disk.bed = self.disk.bed.after_start();
                    self.disk.starts.push(self.disk.bed.epoch());
                }
                self.keep(&id, event);
            }
        }
    }

    fn shuffle(&mut self, dice: &mut Dice) {
        let waiting: Vec<Queued> = self.queue.iter().filter(|job| job.waits()).cloned().collect();
        let Some(job) = waiting.first().map(|_| dice.pick(&waiting).clone()) else { return };
        let other = dice.pick(&waiting).job_id.clone();
        let place =
            [Place::First, Place::Last, Place::Nth(dice.roll(4) as u32), Place::Before(other.clone())];
        let place = dice.pick(&place);
        let Ok(placed) = self.queue.place(&job, place) else {
            return assert_eq!(*place, Place::Before(job.job_id), "only a job before itself has no place");
        };
        for placed in placed {
            let known = self.disk.places.iter_mut().find(|known| known.job_id == placed.job_id).unwrap();
            (known.priority, known.position) = (placed.priority, placed.position);
            let state = self.jobs[&placed.job_id].state();
            self.queue.put(Queued { state, ..known.clone() }).unwrap();
        }
        let order: Vec<JobId> =
            self.queue.iter().filter(|job| job.waits()).map(|job| job.job_id.clone()).collect();
        match place {
            Place::First => assert_eq!(order[0], job.job_id),
            Place::Last => assert_eq!(*order.last().unwrap(), job.job_id),
            Place::Before(_) => {
                let at = order.iter().position(|id| *id == job.job_id).unwrap();
                assert_eq!(order[at + 1], other);
            }
            Place::Nth(_) => {}
        }
    }

    fn clear_bed(&mut self, dice: &mut Dice) {
        let seen = (self.disk.bed.epoch() + 1).saturating_sub(dice.roll(3));
        match self.disk.bed.confirm(seen) {
            Ok(bed) => {
                assert_eq!(seen, self.disk.bed.epoch());
                self.disk.bed = bed;
            }
            Err(stale) => assert!(stale.seen != stale.epoch),
        }
    }

    fn check(&self) {
        let taken = self.jobs.values().any(|job| {
            job.state().holds_printer()
                || matches!(
                    job.state(),
                    JobState::Preflight | JobState::AwaitingOperator | JobState::Interrupted
                )
        });
        for now in [None, Some(self.now)] {
            let Some(next) = self.queue.next_startable(now) else { continue };
            assert!(!taken, "{} would start while the printer is taken", next.job_id);
            assert!(!next.held && next.start != StartRule::Manual);
            assert!(matches!(self.jobs[&next.job_id].state(), JobState::Queued | JobState::AwaitingBedClear));
            let bounds = next.not_before.is_some() || next.not_after.is_some();
            assert!(now.is_some() || !bounds, "a time means nothing without a clock");
            let too_early = next.not_before.is_some_and(|limit| self.now < limit);
            let too_late = next.not_after.is_some_and(|limit| self.now > limit);
            assert!(!too_early && !too_late);
        }
        for late in self.queue.overdue(self.now) {
            assert!(late.waits() && late.not_after.unwrap() < self.now);
        }
        // Every revision stands in exactly one event, and the last of them is that of the row.
        for (id, (state, rev, attempt)) in &self.disk.rows {
            let told: Vec<_> =
                self.disk.events.iter().filter(|(of, _)| of == id).map(|(_, event)| event).collect();
            assert_eq!(
                told.iter().map(|event| event.rev).collect::<Vec<_>>(),
                (1..=*rev).collect::<Vec<_>>()
            );
            assert!(told.windows(2).all(|pair| pair[1].from == Some(pair[0].to)));
            assert_eq!(told.last().unwrap().to, *state);
            let begun = self.disk.attempts.iter().filter(|(of, _)| of == id).count();
            assert_eq!(begun, *attempt as usize);
        }
        assert_eq!(
            self.disk.starts,
            (1..=self.disk.bed.epoch()).collect::<Vec<_>>(),
            "each start has its bed epoch"
        );
        assert!(self.disk.starts.is_empty() || self.disk.bed.clear_epoch() <= self.disk.bed.epoch());
    }
}

#[test]
fn nothing_begins_twice_and_nothing_is_told_twice_whenever_the_agent_is_killed() {
    let mut covered = BTreeSet::new();
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let mut world = World::restore(Disk::default(), 1_000);
        for _ in 0..STEPS {
            world.now += dice.roll(400);
            match dice.roll(12) {
                0 if (world.jobs.len() as u64) < JOBS => world.offer(&mut dice),
                1 if !world.jobs.is_empty() => world.shuffle(&mut dice),
                2 => world.clear_bed(&mut dice),
                // The process is gone; what it held in memory with it.
                3 if dice.roll(6) == 0 => world = World::restore(world.disk.clone(), world.now),
                4 if dice.roll(4) == 0 => world.check(),
                _ if !world.jobs.is_empty() => world.step(&mut dice),
                _ => {}
            }
        }
        world.check();
        covered.extend(world.disk.events.iter().filter_map(|(_, event)| Some((event.from?, event.to))));
    }
    let every = JobState::ALL.into_iter().flat_map(|from| JobState::ALL.map(|to| (from, to)));
    let every: BTreeSet<_> = every.filter(|(from, to)| lawful(*from, *to)).collect();
    assert_eq!(covered, every, "every edge of the table was walked");
}

/// What a kill makes of each state: what held the printer is interrupted and never begins again by itself, a check begins anew.
#[test]
fn each_state_has_one_way_to_go_on_after_a_kill() {
    for state in JobState::ALL {
        let id = JobId::new("j").unwrap();
        let mut job = Job::restore(id, state, 7, 1);
        let told = job.after_restart();
        assert_eq!(told.is_some(), job.rev() == 8, "{state}");
        assert!(job.state() == state || lawful(state, job.state()), "{state} to {}", job.state());
        let prints = [JobState::Starting, JobState::Printing, JobState::Paused];
        assert!(!prints.contains(&job.state()), "{state}: nothing prints on by itself");
        assert_eq!(job.attempt(), 1);
        assert!(job.begin(1, None).is_err(), "{state}: an attempt that has begun is never begun again");
    }
}

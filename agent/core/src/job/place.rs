//! Where in the queue a job is to stand, as numbers that sort.

use spoolway_protocol::ids::JobId;

use super::queue::{JobQueue, Queued};

/// Distance between two neighbours: a job is put between them by one number, without touching the others.
pub const STEP: i64 = 1 << 20;

/// Where a job is to stand among those that have not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Before all others, whatever their priority.
    First,
    /// Behind all others, whatever their priority.
    Last,
    /// Right before this one, with its priority.
    Before(JobId),
    /// So many jobs of its own priority stand before it.
    Nth(u32),
}

/// The numbers that put a job into its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The job.
    pub job_id: JobId,
    /// Its priority.
    pub priority: i32,
    /// Its position among equals.
    pub position: i64,
}

/// The job before which another is to stand does not wait, or is that other itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job {0} does not wait in the queue, so that nothing can be put before it")]
pub struct NoSuchPlace(pub JobId);

impl JobQueue {
    /// What has to be written so that the job stands in its place: its own numbers first, and those of others where there was
    /// no room between two neighbours.
    ///
    /// # Errors
    /// There is no such place.
    pub fn place(&self, job: &Queued, place: &Place) -> Result<Vec<Placed>, NoSuchPlace> {
        let others: Vec<&Queued> =
            self.iter().filter(|other| other.waits() && other.job_id != job.job_id).collect();
        let (priority, at) = spot(job, place, &others)?;
        let group: Vec<&Queued> = others.iter().copied().filter(|other| other.priority == priority).collect();
        let at = at - others.iter().take(at).filter(|other| other.priority != priority).count();
        let before = at.checked_sub(1).map(|index| group[index].position);
        let behind = group.get(at).map(|other| other.position);
        let own = |position| Placed { job_id: job.job_id.clone(), priority, position };
        match between(before, behind) {
            Some(position) => Ok(vec![own(position)]),
            None => {
                let number = |index: usize| i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(STEP);
                let rest = group.iter().enumerate().map(|(index, other)| Placed {
                    job_id: other.job_id.clone(),
                    priority,
                    position: number(if index < at { index } else { index + 1 }),
                });
                Ok(std::iter::once(own(number(at))).chain(rest).collect())
            }
        }
    }
}

/// The priority that a place asks for, and how many of the others stand before it.
fn spot(job: &Queued, place: &Place, others: &[&Queued]) -> Result<(i32, usize), NoSuchPlace> {
    match place {
        Place::First => {
            Ok((others.first().map_or(job.priority, |first| first.priority.max(job.priority)), 0))
        }
        Place::Last => {
            let last = others.last().map_or(job.priority, |last| last.priority.min(job.priority));
            Ok((last, others.len()))
        }
        Place::Before(next) => {
            let at = others.iter().position(|other| other.job_id == *next);
            let at = at.ok_or_else(|| NoSuchPlace(next.clone()))?;
            Ok((others[at].priority, at))
        }
        Place::Nth(count) => {
            let higher = others.iter().filter(|other| other.priority > job.priority).count();
            let equal = others.iter().filter(|other| other.priority == job.priority).count();
            Ok((job.priority, higher + equal.min(usize::try_from(*count).unwrap_or(usize::MAX))))
        }
    }
}

/// A number between two neighbours; `None` where there is none.
fn between(before: Option<i64>, behind: Option<i64>) -> Option<i64> {
    match (before, behind) {
        (None, None) => Some(0),
        (Some(before), None) => before.checked_add(STEP),
        (None, Some(behind)) => behind.checked_sub(STEP),
        (Some(before), Some(behind)) => {
            let room = behind.checked_sub(before)?;
            (room > 1).then(|| before + room / 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::job::{JobState, StartRule};

    use super::*;

    fn id(name: &str) -> JobId {
        JobId::new(name).unwrap()
    }

    fn queued(name: &str, priority: i32, position: i64) -> Queued {
        Queued {
            job_id: id(name),
            state: JobState::Queued,
            start: StartRule::WhenReady,
            priority,
            position,
            not_before: None,
            not_after: None,
            held: false,
        }
    }

    fn queue() -> JobQueue {
        let mut queue = JobQueue::new();
        for job in [queued("a", 5, 0), queued("b", 0, 0), queued("c", 0, 1), queued("d", -5, 0)] {
            queue.put(job).unwrap();
        }
        queue
    }

    fn order(queue: &JobQueue) -> String {
        queue.iter().map(|job| job.job_id.as_str()).collect()
    }

    /// Puts a job there; gives the order and how many jobs had to change.
    fn put(queue: &mut JobQueue, name: &str, place: &Place) -> (String, usize) {
        let job = queue.iter().find(|job| job.job_id == id(name)).unwrap().clone();
        let placed = queue.place(&job, place).unwrap();
        for Placed { job_id, priority, position } in &placed {
            let job = queue.iter().find(|job| job.job_id == *job_id).unwrap().clone();
            queue.put(Queued { priority: *priority, position: *position, ..job }).unwrap();
        }
        (order(queue), placed.len())
    }

    #[test]
    fn a_job_goes_where_it_is_told() {
        for (name, place, expected) in [
            ("d", Place::First, "dabc"),
            ("a", Place::Last, "bcda"),
            ("d", Place::Before(id("c")), "abdc"),
            ("a", Place::Before(id("d")), "bcad"),
            ("c", Place::Nth(0), "acbd"),
            ("b", Place::Nth(1), "acbd"),
            ("b", Place::Nth(99), "acbd"),
            ("b", Place::First, "bacd"),
        ] {
            assert_eq!(put(&mut queue(), name, &place).0, expected, "{name} {place:?}");
        }
    }

    #[test]
    fn neighbours_without_room_move_apart_and_no_others() {
        let mut queue = queue();
        assert_eq!(put(&mut queue, "d", &Place::Before(id("c"))), ("abdc".to_owned(), 3));
        assert_eq!(put(&mut queue, "c", &Place::Before(id("d"))), ("abcd".to_owned(), 1));
    }

    #[test]
    fn a_place_before_nobody_is_none() {
        let mut queue = queue();
        queue.set_state(&id("b"), JobState::Printing);
        let job = queue.iter().find(|job| job.job_id == id("c")).unwrap().clone();
        for other in ["b", "c", "nobody"] {
            assert_eq!(queue.place(&job, &Place::Before(id(other))), Err(NoSuchPlace(id(other))));
        }
    }

    /// However often jobs are moved about, the order is the one that a plain list would have.
    #[test]
    fn thousands_of_moves_keep_the_order() {
        let mut queue = JobQueue::new();
        let names: Vec<String> = (0..8).map(|number| format!("j{number}")).collect();
        names.iter().for_each(|name| queue.put(queued(name, 0, 0)).unwrap());
        let mut plain = names.clone();
        let mut dice = 1_u64;
        for _ in 0..5_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (from, to) = ((dice >> 33) as usize % 8, (dice >> 41) as usize % 8);
            let (name, next) = (plain[from].clone(), plain[to].clone());
            if name == next {
                continue;
            }
            put(&mut queue, &name, &Place::Before(id(&next)));
            plain.retain(|known| *known != name);
            let at = plain.iter().position(|known| *known == next).unwrap();
            plain.insert(at, name);
            assert_eq!(order(&queue), plain.concat());
        }
    }
}

//! How many requests wait at a time, in all and of each backend, so that none of them takes the places of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spoolway_protocol::BackendId;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: Mutex<HashMap<BackendId, usize>>,
}

/// How many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// In all.
    pub(crate) most: usize,
    /// For each backend.
    pub(crate) of_one: usize,
}

/// One place; it is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    backend: BackendId,
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, HashMap<BackendId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for one request of this backend, if there is one. A bound that has become smaller takes nobody's place away.
    pub(crate) fn take(self: &Arc<Self>, backend: &BackendId, bound: Bound) -> Option<Place> {
        let mut taken = self.lock();
        let own = taken.get(backend).copied().unwrap_or(0);
        if own >= bound.of_one || taken.values().sum::<usize>() >= bound.most {
            return None;
        }
        taken.insert(backend.clone(), own + 1);
        Some(Place { places: Arc::clone(self), backend: backend.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(own) = taken.get_mut(&self.backend) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.backend);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_backend_leaves_places_for_the_others_and_all_together_have_an_end() {
        let [farm, lab, shop] = ["farm", "lab", "shop"].map(|id| id.parse::<BackendId>().expect("a name"));
        let (places, bound) = (Arc::new(Places::default()), Bound { most: 5, of_one: 3 });
        let take = |backend| places.take(backend, bound);
        let mut held: Vec<Place> = (0..3).filter_map(|_| take(&farm)).collect();
        assert_eq!(held.len(), 3);
        assert!(take(&farm).is_none(), "its own are taken");
        held.extend((0..2).filter_map(|_| take(&lab)));
        assert_eq!(held.len(), 5);
        assert!(take(&shop).is_none(), "all are taken");
        held.remove(0);
        held.extend(take(&farm));
        assert_eq!(held.len(), 5, "what was given back is taken again");
        drop(held);
        assert!(places.lock().is_empty(), "nothing is kept of those who are gone");
    }
    #[test]
    fn another_bound_holds_for_whoever_comes_next() {
        let farm = "farm".parse::<BackendId>().expect("a name");
        let places = Arc::new(Places::default());
        let take = |of_one| places.take(&farm, Bound { most: 9, of_one });
        let mut held: Vec<Place> = (0..3).filter_map(|_| take(3)).collect();
        held.extend(take(4));
        assert_eq!(held.len(), 4, "there is room for more now");
        assert!(take(2).is_none() && take(4).is_none());
        held.truncate(2);
        assert!(take(2).is_none());
        held.truncate(1);
        assert!(take(2).is_some());
    }
}

//! Places for connections: a bounded number, and who goes when there is none left.
//!
//! Turning newcomers away would let somebody who keeps every place taken keep everybody from the
//! page. So a newcomer gets the place of the one that has been there longest of those who have
//! not shown yet that they may see anything, and only then of those who have.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::task::{AbortHandle, Id};

/// A connection's place. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Place(Arc<AtomicBool>);

impl Place {
    /// Takes note that whoever is there may see the page.
    pub(super) fn let_in(&self) {
        self.0.store(true, Relaxed);
    }
}

/// All places, and the connections that have them.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: HashMap<Id, Taken>,
    /// How many there have been.
    count: u64,
}

#[derive(Debug)]
struct Taken {
    place: Place,
    number: u64,
    connection: AbortHandle,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            taken: HashMap::new(),
            count: 0,
        }
    }

    /// Gives a place to a new connection.
    pub(super) fn give(&mut self, place: Place, connection: AbortHandle) {
        self.count += 1;
        let taken = Taken {
            place,
            number: self.count,
            connection,
        };
        self.taken.insert(taken.connection.id(), taken);
    }

    /// Takes note that a connection has ended.
    pub(super) fn free(&mut self, connection: Id) {
        self.taken.remove(&connection);
    }

    /// Ends a connection if there is no place left. Returns whether it did.
    pub(super) fn make_room(&mut self) -> bool {
        if self.taken.len() < self.most {
            return false;
        }
        let order = |taken: &&Taken| (taken.place.0.load(Relaxed), taken.number);
        let first = self.taken.values().min_by_key(order);
        let Some(id) = first.map(|first| first.connection.id()) else {
            return false;
        };
        if let Some(gone) = self.taken.remove(&id) {
            gone.connection.abort();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn strangers_go_first_and_the_oldest_of_them() {
        let mut tasks = JoinSet::new();
        let mut places = Places::new(3);
        let mut take = |places: &mut Places| {
            let (place, task) = (Place::default(), tasks.spawn(std::future::pending::<()>()));
            places.give(place.clone(), task.clone());
            (place, task.id())
        };
        let (known, first) = take(&mut places);
        known.let_in();
        let (_, second) = take(&mut places);
        assert!(!places.make_room(), "there is a place left");
        let (also_known, third) = take(&mut places);
        assert!(places.make_room());
        also_known.let_in();
        let (newcomer, fourth) = take(&mut places);
        newcomer.let_in();
        assert!(places.make_room());
        places.free(third);
        assert!(!places.make_room());
        let mut gone = HashSet::new();
        while gone.len() < 2 {
            gone.insert(tasks.join_next().await.unwrap().unwrap_err().id());
        }
        assert_eq!(gone, HashSet::from([first, second]));
        assert!(places.taken.contains_key(&fourth));
    }
}

//! Refused requests and connections: counted, and logged in few enough lines not to fill a disk.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

/// At most one warning in this time; the rest are counted and told with the next one.
const QUIET: Duration = Duration::from_secs(10);

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The connection: there are too many, or it could not be had.
    Connection,
    /// The user name or password is wrong.
    Password,
    /// Too many were wrong before.
    Tries,
    /// Too many passwords are waiting to be verified.
    Busy,
    /// A change, by somebody who may only look.
    Role,
    /// A change, by something that is not the page itself.
    Origin,
}

impl Refused {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Connection, "connection"),
        (Self::Password, "password"),
        (Self::Tries, "tries"),
        (Self::Busy, "busy"),
        (Self::Role, "role"),
        (Self::Origin, "origin"),
    ];
}

/// Counts refusals and tells of them. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counts: [AtomicU64; Refused::ALL.len()],
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    warned: Option<Instant>,
    untold: u64,
}

impl Refusals {
    /// Takes note of who was refused, and why.
    pub fn tell(&self, why: Refused, what: fmt::Arguments<'_>) {
        self.0.counts[why as usize].fetch_add(1, Relaxed);
        if let Some(untold) = self.count(Instant::now()) {
            warn!(target: "stats", untold, "{what}");
        } else {
            debug!(target: "stats", "{what}");
        }
    }

    /// How many were refused, for each reason in one word.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.counts.iter().map(|count| count.load(Relaxed));
        Refused::ALL.iter().map(|(_, word)| *word).zip(counts)
    }

    /// Counts one towards the next line: `None` if it is too soon for a warning, else how many went untold.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = last
            .warned
            .is_some_and(|warned| now.duration_since(warned) < QUIET);
        if quiet {
            last.untold += 1;
            return None;
        }
        last.warned = Some(now);
        Some(std::mem::take(&mut last.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_warning_in_ten_seconds_that_counts_the_others() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let at = |seconds| refusals.count(start + Duration::from_secs(seconds));
        let told: Vec<_> = [0, 1, 9, 10, 11, 25].map(at).into();
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn each_reason_is_counted() {
        let refusals = Refusals::default();
        for (why, _) in Refused::ALL {
            refusals.clone().tell(why, format_args!("x"));
        }
        refusals.tell(Refused::Origin, format_args!("x"));
        let counts: Vec<_> = refusals.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 1, 1, 1, 2]);
    }
}

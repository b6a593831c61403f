//! Log lines about refused requests and connections, few enough not to fill a disk.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

/// At most one warning in this time; the rest are counted and told with the next one.
const QUIET: Duration = Duration::from_secs(10);

/// Tells of refusals.
#[derive(Debug, Default)]
pub struct Refusals {
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    warned: Option<Instant>,
    untold: u64,
}

impl Refusals {
    /// Tells who was refused, and why.
    pub fn tell(&self, what: fmt::Arguments<'_>) {
        if let Some(untold) = self.count(Instant::now()) {
            warn!(target: "stats", untold, "{what}");
        } else {
            debug!(target: "stats", "{what}");
        }
    }

    /// Counts a refusal: `None` if it is too soon for a warning, else how many went untold.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
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
}

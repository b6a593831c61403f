//! When a name is looked up again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ask::Answer;
use crate::config::resolve::ResolveConfig;
use crate::topology::Server;

/// However short an answer is good for, name servers are not asked more often than that while all
/// is well.
const LEAST: Duration = Duration::from_secs(1);

/// Of one name.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Times {
    /// When the last look-up began.
    asked: Option<Instant>,
    /// Whether it goes on still.
    waits: bool,
    /// How long its answer is good; `None` if there was none.
    good_for: Option<Duration>,
}

impl Times {
    pub(super) fn asked(&mut self, now: Instant) {
        (self.asked, self.waits) = (Some(now), true);
    }

    pub(super) fn answered(&mut self, config: &ResolveConfig, answer: &Answer) {
        self.waits = false;
        self.good_for = match answer {
            Answer::At(_, ttl) => Some(good_for(*ttl, config.hold_valid)),
            Answer::Missing | Answer::Silence => None,
        };
    }

    /// Whether it is time at `now`; `lost` says that a server of that name is down.
    pub(super) fn is_due(&self, config: &ResolveConfig, lost: bool, now: Instant) -> bool {
        let Some(asked) = self.asked.filter(|_| !self.waits) else {
            return !self.waits;
        };
        let wait = match self.good_for {
            Some(good_for) if !lost => good_for,
            _ => config.interval,
        };
        now.duration_since(asked) >= wait
    }
}

/// How long an answer is good: as long as its TTL says, within limits that no name server sets.
fn good_for(ttl: Duration, hold_valid: Duration) -> Duration {
    ttl.max(LEAST).min(hold_valid)
}

/// How often it is looked whether a name is due.
pub(super) fn tick(named: &[Vec<Arc<Server>>]) -> Duration {
    let configs = named.iter().map(|servers| &servers[0].config.resolve);
    let shortest = configs
        .map(|config| config.interval.min(config.hold_valid))
        .min();
    let shortest = shortest.unwrap_or(Duration::MAX);
    (shortest / 4).clamp(Duration::from_millis(20), Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn no_name_server_says_that_it_is_asked_without_a_pause_or_never() {
        let of = |ttl| good_for(SECONDS(ttl), SECONDS(10));
        assert_eq!(of(0), SECONDS(1));
        assert_eq!(of(5), SECONDS(5));
        assert_eq!(of(600), SECONDS(10));
        assert_eq!(of(1 << 31), SECONDS(10));
        assert_eq!(
            good_for(SECONDS(0), Duration::from_millis(200)),
            Duration::from_millis(200)
        );
    }

    #[test]
    fn a_name_whose_server_is_down_is_looked_up_sooner() {
        let (config, began) = (ResolveConfig::default(), Instant::now());
        let mut times = Times::default();
        assert!(times.is_due(&config, false, began));
        times.asked(began);
        assert!(!times.is_due(&config, true, began + SECONDS(60)));
        times.answered(&config, &Answer::At(Vec::new(), SECONDS(600)));
        assert!(!times.is_due(&config, false, began + SECONDS(9)));
        assert!(times.is_due(&config, false, began + SECONDS(10)));
        assert!(times.is_due(&config, true, began + SECONDS(2)));
        times.answered(&config, &Answer::Silence);
        assert!(!times.is_due(&config, false, began + SECONDS(1)));
        assert!(times.is_due(&config, false, began + SECONDS(2)));
    }
}

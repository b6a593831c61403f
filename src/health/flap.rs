//! How long a server that comes and goes is kept away.
//!
//! Each recovery adds one bounce; bounces fade, half of them in every `half_life`. The first
//! recovery costs nothing; from the second on the penalty doubles with each.

use std::time::{Duration, Instant};

use crate::config::policy::FlapDamping;

/// A server's record of recoveries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounces {
    count: f64,
    at: Option<Instant>,
}

impl Bounces {
    /// The count as it was at a time in the past.
    pub fn counted_at(count: f64, at: Instant) -> Self {
        Self {
            count,
            at: Some(at),
        }
    }

    /// The count and when it was taken; `None` before the first recovery.
    pub fn counted(&self) -> Option<(f64, Instant)> {
        self.at.map(|at| (self.count, at))
    }

    /// Counts a recovery at `now` and returns how long it keeps the server away.
    pub fn recovered(&mut self, damping: &FlapDamping, now: Instant) -> Duration {
        let remembered = self.remembered(damping, now);
        self.count = remembered + 1.0;
        self.at = Some(now);
        if remembered < 0.5 {
            return Duration::ZERO;
        }
        let doublings = (remembered - 1.0).max(0.0);
        let seconds = damping.penalty.as_secs_f64() * doublings.exp2();
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(Duration::MAX)
            .min(damping.max)
    }

    /// The bounces that have not faded by `now`.
    fn remembered(&self, damping: &FlapDamping, now: Instant) -> f64 {
        let Some(at) = self.at else { return 0.0 };
        let half_lives = now.duration_since(at).as_secs_f64() / damping.half_life.as_secs_f64();
        self.count * (-half_lives).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const DAMPING: FlapDamping = FlapDamping {
        penalty: Duration::from_secs(10),
        max: Duration::from_secs(300),
        half_life: Duration::from_secs(600),
    };

    #[test]
    fn the_first_recovery_is_free_and_the_next_ones_double() {
        let start = Instant::now();
        let mut bounces = Bounces::default();
        let penalties: Vec<_> = (0..4)
            .map(|_| bounces.recovered(&DAMPING, start).as_secs())
            .collect();
        assert_eq!(penalties, [0, 10, 20, 40]);
    }

    #[test]
    fn the_penalty_has_a_limit() {
        let start = Instant::now();
        let mut bounces = Bounces::default();
        for _ in 0..2_000 {
            bounces.recovered(&DAMPING, start);
        }
        assert_eq!(bounces.recovered(&DAMPING, start), S(300));
    }

    #[test]
    fn bounces_fade() {
        let start = Instant::now();
        let mut bounces = Bounces::default();
        bounces.recovered(&DAMPING, start);
        assert_eq!(
            bounces.recovered(&DAMPING, start + S(6_000)),
            Duration::ZERO
        );
    }
}

//! Time as the kernel last took it: some milliseconds old, and asked for in a sixth of the time.

use std::ops::Add;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};
use tokio::time::Instant;

/// A moment of the monotonic clock, as of the kernel's last tick (`CLOCK_MONOTONIC_COARSE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick {
    nanoseconds: u64,
}

impl Tick {
    /// The last tick: as a rule at most [`Tick::length`] ago, longer where the machine itself is
    /// a guest that was not let run.
    #[inline]
    pub fn now() -> Self {
        Self {
            nanoseconds: nanoseconds(clock_gettime(ClockId::MonotonicCoarse)),
        }
    }

    /// From one tick to the next: 1 to 10 milliseconds, as the kernel was built.
    pub fn length() -> Duration {
        static LENGTH: OnceLock<Duration> = OnceLock::new();
        *LENGTH.get_or_init(|| {
            Duration::from_nanos(nanoseconds(clock_getres(ClockId::MonotonicCoarse)))
        })
    }

    /// The same moment on the clock that timers go by; now if it has passed.
    pub fn instant(self) -> Instant {
        let left = self.since(Self::now());
        Instant::now() + left
    }

    /// How long after `earlier` this is; nothing if it is not.
    fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
    }
}

impl Add<Duration> for Tick {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        let later = u64::try_from(later.as_nanos()).unwrap_or(u64::MAX);
        Self {
            nanoseconds: self.nanoseconds.saturating_add(later),
        }
    }
}

#[inline]
fn nanoseconds(time: Timespec) -> u64 {
    // Since the system started: neither is negative.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_never_ahead_of_the_clock_and_goes_on_with_it() {
        let exact = || Tick {
            nanoseconds: nanoseconds(clock_gettime(ClockId::Monotonic)),
        };
        assert!(Tick::length() <= Duration::from_millis(10));
        let first = Tick::now();
        // A virtual machine that is stopped for a while misses ticks, but not for ever.
        let mut tries = 0..10_000_000;
        let punctual = tries.any(|_| {
            let before = exact();
            let tick = Tick::now();
            assert!(tick <= exact());
            tick > first && before <= tick + Tick::length()
        });
        assert!(punctual);
    }

    #[test]
    fn what_has_passed_is_now_and_what_never_comes_does_not_overflow() {
        let past = Tick { nanoseconds: 0 };
        assert_eq!(past.since(Tick::now()), Duration::ZERO);
        assert!(past.instant() <= Instant::now());
        assert!(past + Duration::MAX > past + Duration::from_secs(1 << 33));
    }

    #[test]
    fn a_moment_is_as_far_on_the_other_clock() {
        let tick = Tick::now();
        let moment = tick + Duration::from_secs(5);
        assert_eq!(moment.since(tick), Duration::from_secs(5));
        // Between the two readings of either clock, however long that takes.
        let started = Instant::now();
        let instant = moment.instant();
        assert!(instant >= started + moment.since(Tick::now()));
        assert!(instant <= Instant::now() + Duration::from_secs(5));
    }
}

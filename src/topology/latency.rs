//! How long a server usually takes to accept a connection.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// No connection is called slow before this: below it a second attempt costs more than it saves.
const LEAST: Duration = Duration::from_millis(30);

/// A running estimate of a server's connect time: the mean and the mean deviation, weighted as
/// TCP weighs its round-trip times (RFC 6298, section 2).
#[derive(Debug, Default)]
pub struct Latency {
    /// Both in microseconds: the mean in the upper half, the deviation in the lower; 0 until
    /// the first connection. Workers may overwrite each other's update, which loses one sample.
    estimate: AtomicU64,
}

impl Latency {
    /// Takes the time that one connection took.
    pub fn record(&self, took: Duration) {
        // At least 1, so that 0 stays the mark of "nothing known".
        let took = (took.as_micros() as u64).clamp(1, u64::from(u32::MAX));
        let (mean, deviation) = match self.estimate.load(Relaxed) {
            0 => (took, took / 2),
            known => {
                let (mean, deviation) = (known >> 32, known & u64::from(u32::MAX));
                (
                    (7 * mean + took) / 8,
                    (3 * deviation + mean.abs_diff(took)) / 4,
                )
            }
        };
        self.estimate.store(mean << 32 | deviation, Relaxed);
    }

    /// The mean connect time, once there is one.
    pub fn mean(&self) -> Option<Duration> {
        let estimate = self.estimate.load(Relaxed);
        (estimate != 0).then(|| Duration::from_micros(estimate >> 32))
    }

    /// After how long a connection is slower than this server usually is.
    pub fn slow_after(&self) -> Duration {
        let estimate = self.estimate.load(Relaxed);
        let (mean, deviation) = (estimate >> 32, estimate & u64::from(u32::MAX));
        Duration::from_micros(mean + 4 * deviation).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn fast_servers_are_given_the_least() {
        let latency = Latency::default();
        assert_eq!((latency.mean(), latency.slow_after()), (None, LEAST));
        latency.record(MS(1));
        assert_eq!((latency.mean(), latency.slow_after()), (Some(MS(1)), LEAST));
    }

    #[test]
    fn a_steady_distant_server_is_not_called_slow_at_its_usual_time() {
        let latency = Latency::default();
        (0..100).for_each(|_| latency.record(MS(80)));
        assert!(latency.slow_after() >= MS(80) && latency.slow_after() < MS(90));
    }

    #[test]
    fn an_unsteady_server_is_given_more() {
        let latency = Latency::default();
        (0..100).for_each(|i| latency.record(MS(if i % 2 == 0 { 20 } else { 120 })));
        assert!(latency.slow_after() > MS(200));
    }

    #[test]
    fn absurd_times_do_not_overflow() {
        let latency = Latency::default();
        latency.record(Duration::MAX);
        latency.record(Duration::ZERO);
        assert!(latency.slow_after() > MS(1000));
    }
}

//! Whether the process can be given new sessions, for orchestrators and load balancers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// For how long the control thread may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// How far the process has come. Clones share it.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    point: AtomicU8,
    began: Instant,
    /// When the control thread was last heard of, in milliseconds since it began.
    heard: AtomicU64,
    stuck_workers: AtomicUsize,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Inner {
            point: AtomicU8::default(),
            began: Instant::now(),
            heard: AtomicU64::default(),
            stuck_workers: AtomicUsize::default(),
        }))
    }
}

/// A point in the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// It is not accepting sessions yet.
    Starting,
    /// It accepts sessions.
    Ready,
    /// It lets open sessions end and accepts no more.
    Stopping,
}

impl Readiness {
    /// Takes note of a point that is reached.
    pub fn reach(&self, point: Point) {
        self.0.point.store(point as u8, Relaxed);
    }

    /// Takes note, once a second, that the control thread gets its turn, which checks servers.
    pub fn beat(&self, now: Instant) {
        let since = now.duration_since(self.0.began).as_millis();
        self.0.heard.store(since as u64, Relaxed);
    }

    /// Whether the control thread has been heard of lately and no worker thread is stuck.
    pub fn is_alive(&self, now: Instant) -> bool {
        let heard = Duration::from_millis(self.0.heard.load(Relaxed));
        now.duration_since(self.0.began) < heard + SILENCE && self.stuck_workers() == 0
    }

    /// Takes note that a worker thread does not answer.
    pub fn worker_is_stuck(&self) {
        self.0.stuck_workers.fetch_add(1, Relaxed);
    }

    /// Takes note that one that did not answer is stuck no more.
    pub fn worker_goes_on(&self) {
        self.0.stuck_workers.fetch_sub(1, Relaxed);
    }

    /// How many worker threads do not answer.
    pub fn stuck_workers(&self) -> usize {
        self.0.stuck_workers.load(Relaxed)
    }

    /// The last point that was reached.
    pub fn point(&self) -> Point {
        match self.0.point.load(Relaxed) {
            0 => Point::Starting,
            1 => Point::Ready,
            _ => Point::Stopping,
        }
    }
}

impl Point {
    /// The answer of `/readyz`, in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_that_is_reached_is_told() {
        let readiness = Readiness::default();
        assert_eq!(readiness.point(), Point::Starting);
        for point in [Point::Ready, Point::Stopping] {
            readiness.clone().reach(point);
            assert_eq!(readiness.point(), point);
        }
    }

    #[test]
    fn a_control_thread_that_is_silent_for_long_is_noticed() {
        let readiness = Readiness::default();
        let at = |seconds| readiness.0.began + Duration::from_secs(seconds);
        assert!(readiness.is_alive(at(9)));
        assert!(!readiness.is_alive(at(10)));
        readiness.beat(at(8));
        assert!(readiness.is_alive(at(17)));
        assert!(!readiness.is_alive(at(18)));
    }
}

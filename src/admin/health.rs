//! Whether the process can be given new sessions, for orchestrators and load balancers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// How far the process has come. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

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
        self.0.store(point as u8, Relaxed);
    }

    /// The last point that was reached.
    pub fn point(&self) -> Point {
        match self.0.load(Relaxed) {
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
}

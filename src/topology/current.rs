//! The topology that runs now.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Topology;

/// The topology that runs now, for those who outlive it: a reload puts another in its place.
/// Clones are the same.
///
/// Whoever uses ids loads it once and asks no other topology about them: they are positions.
#[derive(Debug, Clone)]
pub struct Current(Arc<ArcSwap<Topology>>);

impl Current {
    /// One that runs `topology`.
    pub fn new(topology: Arc<Topology>) -> Self {
        Self(Arc::new(ArcSwap::new(topology)))
    }

    /// What runs at this moment, to be looked at and let go.
    pub fn load(&self) -> Guard<Arc<Topology>> {
        self.0.load()
    }

    /// What runs at this moment, to be kept.
    pub fn get(&self) -> Arc<Topology> {
        self.0.load_full()
    }

    /// Has sessions that begin from now on use `topology`. Only the supervisor calls this.
    pub fn replace(&self, topology: Arc<Topology>) {
        self.0.store(topology);
    }
}

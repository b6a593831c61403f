//! Positions of configured objects, used where a name would cost a look-up, and what stays of
//! them when positions change.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A frontend's position in the configuration, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrontendId(pub u32);

/// A backend's position in the configuration, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(pub u32);

/// A server: its backend and its position in it, from 0, in declaration order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId {
    /// The backend that the server belongs to.
    pub backend: BackendId,
    /// The server's position in its backend.
    pub position: u32,
}

impl FrontendId {
    /// The position as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl BackendId {
    /// The position as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl ServerId {
    /// The position in the backend as an index.
    pub fn index(self) -> usize {
        self.position as usize
    }
}

/// What a server or a backend keeps through every reload, where its position may change. No two
/// of a process have or had the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u64);

impl Key {
    /// One that nothing has yet.
    #[expect(clippy::new_without_default, reason = "two of them are never equal")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

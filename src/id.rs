//! Positions of configured objects, used where a name would cost a look-up.

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

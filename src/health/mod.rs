//! Active health checks.
//!
//! - [`judge`]: the counter that turns check results into up and down.
//! - [`checker`]: the loop that checks one server.
//! - [`tcp`]: the check that connects.

pub mod checker;
pub mod judge;
pub mod tcp;

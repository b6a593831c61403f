//! Active health checks.
//!
//! - [`flap`]: how long a server that comes and goes is kept away.
//! - [`judge`]: the counter that turns check results into up and down.
//! - [`checker`]: the loop that checks one server.
//! - [`tcp`]: the check that connects.

pub mod checker;
pub mod flap;
pub mod judge;
pub mod tcp;

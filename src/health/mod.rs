//! What check results mean, without any checking.
//!
//! - [`judge`]: the counter that turns check results into up and down.
//! - [`flap`]: how long a server that comes and goes is kept away.

pub mod flap;
pub mod judge;

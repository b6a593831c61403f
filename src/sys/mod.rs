//! What Backstop asks of the operating system: sockets, limits and the time.

pub mod cores;
pub mod courtesy;
pub mod inherited;
pub mod limits;
pub mod options;
pub mod sockets;
pub mod ticks;

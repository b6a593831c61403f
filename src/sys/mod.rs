//! What Backstop asks of the operating system: sockets and limits.

pub mod cores;
pub mod inherited;
pub mod limits;
pub mod options;
pub mod sockets;

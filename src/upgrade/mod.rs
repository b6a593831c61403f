//! One process takes over from another, which loses no connection.
//!
//! The new process connects to `upgrade_socket` and is given the very sockets that the old one
//! listens on. A queue of connections belongs to its socket, so none is lost whoever accepts;
//! with `SO_REUSEPORT` that is so only if every one of the sockets finds somebody, which is why all
//! of them are taken, however many workers the new process has. The new process gets itself
//! ready, accepts, and says so; then the old one stops to accept and lets its sessions end. Until
//! then nothing of the old process has changed, so that it goes on if the new one fails.
//!
//! HAProxy's `-x` and `expose-fd listeners` were the example (management.txt, "Seamless reloads").
//!
//! - [`wire`]: what the two say to each other.
//! - [`offer`]: what a process has to give. [`give`]: the old one's part. [`take`]: the new one's.

pub mod give;
pub mod offer;
pub mod take;
pub mod wire;

pub use self::give::Heir;
pub use self::offer::{Offer, Offered};
pub use self::take::{Inheritance, Predecessor};

#[cfg(test)]
mod tests;

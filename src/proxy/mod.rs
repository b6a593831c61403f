//! Sessions: from an accepted connection to its log line.
//!
//! - [`worker`]: the threads that sessions live on; a session never leaves its worker.
//! - [`accept`]: the accept loop, which survives running out of descriptors.
//! - [`arrival`]: which worker's it becomes.
//! - [`registry`]: the open sessions of a worker, so that they can be ended from outside.
//! - [`session`]: one session from start to end.
//! - [`route`]: which backend. [`connect`]: which server, and the next one when it fails.
//! - [`forward`]: bytes both ways.
//! - [`greeting`]: the PROXY header before a session.
//! - [`account`]: what a session counts, and its log line.

mod accept;
mod account;
mod arrival;
mod connect;
mod forward;
mod greeting;
pub mod registry;
mod route;
mod session;
pub mod worker;

pub use self::worker::{Sessions, Stage, Workers};

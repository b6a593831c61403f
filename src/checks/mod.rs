//! Active health checks.
//!
//! - [`checker`]: the loop that checks one server.
//! - [`probe`]: one check of one server, whatever its kind; there is a module a kind.
//! - [`agent`]: the agent beside a server.
//! - [`schedule`]: which servers are checked and asked.
//! - `program`: how programs are run, which hooks do too.
//!
//! What servers answer is not trusted: it is read up to a limit of bytes and of time, parsed by
//! functions that take any bytes, and shown to people in printable form only.

mod conversation;
mod external;
pub(crate) mod finding;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod http;
mod ldap;
mod mysql;
mod postgres;
pub(crate) mod program;
mod redis;
mod secrets;
mod smtp;
pub(crate) mod target;
mod tcp;
pub(crate) mod tls;
mod tls_hello;

pub use self::tls::any_certificate;

pub mod agent;
pub mod checker;
pub mod probe;
pub mod schedule;

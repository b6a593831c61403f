//! Backstop: a Layer-4 (TCP) failover proxy.
//!
//! The way through the house, in the order in which a change of it should be read:
//!
//! - [`config`]: a file's text to a valid [`config::Config`], every mistake shown at once.
//! - [`acl`]: conditions of rules, such as `nbsrv(farm) le 2`.
//! - [`topology`]: the running graph of frontends, backends and servers.
//! - [`balance`]: which server is next.
//! - [`admin`]: the stats page, which only reads.

pub mod acl;
pub mod admin;
pub mod balance;
pub mod cli;
pub mod config;
pub mod counters;
pub mod id;
pub mod outcome;
pub mod topology;

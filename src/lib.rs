//! Backstop: a Layer-4 (TCP) failover proxy.
//!
//! The way through the house, in the order in which a change of it should be read:
//!
//! - [`config`]: a file's text to a valid [`config::Config`], every mistake shown at once.
//! - [`acl`]: conditions of rules, such as `nbsrv(farm) le 2`.
//! - [`topology`]: the running graph of frontends, backends and servers.
//! - [`balance`]: which server is next.
//! - [`explain`]: where sessions go now, and why, in words.
//! - [`health`]: what check results mean. [`checks`]: the checks themselves.
//! - [`proxy`]: sessions: accept, route, connect, forward, account.
//! - [`supervisor`]: the one place where a server's state changes; [`events`]: its words.
//! - [`state`]: what is known of servers, kept across restarts.
//! - [`resolver`]: names to addresses.
//! - [`hooks`]: programs and URLs that are told when something happens.
//! - [`admin`]: the stats page, which only reads.
//! - [`api`]: HAProxy's runtime API on a Unix socket.
//! - [`upgrade`]: one process takes over from another.
//! - [`privileges`]: what the process gives up. [`notify`]: what the service manager is told.
//! - [`watchdog`]: whether the workers live.
//! - [`process`]: what starts in which order, and how it stops.
//! - [`descriptors`]: how many sessions there may be.
//! - [`networks`], [`proxy_header`]: who a client is.
//! - [`log`], [`sys`]: what the above stand on.
//! - [`cli`]: the commands.

pub mod acl;
pub mod admin;
pub mod api;
pub mod balance;
pub mod checks;
pub mod cli;
pub mod config;
pub mod counters;
pub mod descriptors;
pub mod events;
pub mod explain;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod health;
pub mod history;
pub mod hooks;
pub mod id;
pub mod log;
pub mod networks;
pub mod notify;
pub mod outcome;
pub mod privileges;
pub mod process;
pub mod proxy;
pub mod proxy_header;
pub mod resolver;
pub mod state;
pub mod supervisor;
pub mod sys;
pub mod topology;
pub mod upgrade;
pub mod watchdog;

//! Backstop as its users run it: the built program, a configuration file, real connections.

#[path = "../harness/mod.rs"]
mod harness;

mod admin;
mod api;
mod checks;
mod config;
mod demo;
mod documents;
mod events;
mod explain;
mod forwarding;
mod hooks;
mod inherited;
mod kubernetes;
mod layout;
mod limits;
mod logs;
mod metrics;
mod names;
mod notify;
mod probe;
mod process;
mod recovery;
mod reload;
mod reload_and_upgrade;
mod scenarios;
mod schema;
mod secrets;
mod simulation;
mod state;
mod stats_page;
mod top;
mod upgrade;

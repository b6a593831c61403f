//! `[hooks.NAME]`: what is done when something happens.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderMap;
use hyper::http::uri::{Authority, PathAndQuery};

use super::check::{Secret, TlsConfig};

/// Every kind of event, in the order of [`crate::events::Event`].
pub const EVENT_KINDS: [&str; 18] = [
    "server_down",
    "server_up",
    "server_drain",
    "server_maintenance",
    "server_released",
    "weight_changed",
    "address_changed",
    "checks_switched",
    "admin_changed",
    "frontend_switched",
    "sessions_ended",
    "route_changed",
    "backend_down",
    "backend_up",
    "hook_succeeded",
    "hook_failed",
    "reloaded",
    "reload_failed",
];

/// The states that a server can change to, as events name them.
pub const STATES: [&str; 5] = ["UP", "DOWN", "DRAIN", "MAINT", "no check"];

/// `[hooks.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct HookConfig {
    /// Unique among hooks.
    pub name: String,
    /// On which events it runs.
    pub filter: EventFilter,
    /// What it does.
    pub action: HookAction,
    /// How long a server, backend or frontend must be quiet before the hook runs for its last
    /// event; zero runs it for each.
    pub debounce: Duration,
    /// For one attempt.
    pub timeout: Duration,
    /// Attempts after one that failed.
    pub retries: u32,
    /// Runs at once, each for another server, backend or frontend; at least one.
    pub concurrency: usize,
    /// Events that may wait for their run; more are dropped. At least one.
    pub queue: usize,
}

/// Which events a hook is for: those that have one of the values of every list that is not
/// empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Of [`EVENT_KINDS`].
    pub kinds: Vec<&'static str>,
    /// Names of frontends.
    pub frontends: Vec<String>,
    /// Names of backends; an event about one of its servers counts.
    pub backends: Vec<String>,
    /// `backend/server`.
    pub servers: Vec<String>,
    /// Of [`STATES`]: what a server has changed to.
    pub states: Vec<&'static str>,
}

/// What a hook does.
#[derive(Debug, Clone, PartialEq)]
pub enum HookAction {
    /// Runs a program.
    Program(HookProgram),
    /// Posts the event.
    Webhook(Box<Webhook>),
}

/// A program that a hook runs, without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookProgram {
    /// What is run.
    pub command: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables for it beside those of the event.
    pub environment: Vec<(String, Secret<String>)>,
}

/// Where a hook posts events to.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Whom to ask.
    pub url: WebhookUrl,
    /// Headers beside the usual ones, or in place of them.
    pub headers: HeaderMap,
    /// How TLS is spoken; `None` for `http://`.
    pub tls: Option<TlsConfig>,
}

/// `http://host:port/path` or `https://…`. `Debug` does not show the path, which often is a
/// secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    /// By TLS.
    pub https: bool,
    /// Host and port as written.
    pub authority: Authority,
    /// The path and what follows it.
    pub path: Secret<PathAndQuery>,
}

impl WebhookUrl {
    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        self.authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
    }

    /// The port, 80 or 443 unless written.
    pub fn port(&self) -> u16 {
        let usual = if self.https { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(usual)
    }
}

impl std::fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}/…", self.authority)
    }
}

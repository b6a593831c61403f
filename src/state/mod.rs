//! What is known of servers and wanted of them, kept across restarts.
//!
//! HAProxy's `show servers state` and `load-server-state-from-file` were the example. The file
//! is JSON rather than HAProxy's lines, because it says more: probations, recoveries that count as
//! flapping, the operator's addresses, frontends that are switched off and rules that wait for
//! their `until`. Tools that read HAProxy's form get it from the runtime API.
//!
//! - [`server`]: one server's part, to and from its status.
//! - [`file`](mod@file): reading and writing, so that a file is whole or not there.
//! - [`keeper`]: when it is written.

pub mod file;
pub mod keeper;
pub mod server;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

pub use self::keeper::Keeper;
use self::server::SavedServer;
use crate::config::RuleConfig;
use crate::config::operation::StateConfig;
use crate::config::value::shown;
use crate::topology::{Frontend, Topology};

/// The form of the file; another one is not read.
const VERSION: u32 = 1;

/// Parts that are told one by one when they are ignored; the rest is counted.
const TOLD: usize = 20;

/// What outlives a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    version: u32,
    /// When it was true, in milliseconds since 1970.
    written: u64,
    /// By name; those that are as configured are left out.
    frontends: BTreeMap<String, SavedFrontend>,
    /// By `backend/server`.
    servers: BTreeMap<String, SavedServer>,
}

/// What is wanted of a frontend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedFrontend {
    /// Whether it accepts sessions.
    enabled: bool,
    /// Rules that have matched and whose `until` has not held since.
    latched: Vec<String>,
}

/// One moment on both clocks: instants mean nothing to another process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// For everything within a process.
    pub instant: Instant,
    /// For the file.
    pub wall: SystemTime,
}

impl Clock {
    /// This moment.
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn now_ms(self) -> u64 {
        let since = self.wall.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }

    /// `at` in milliseconds since 1970.
    fn to_ms(self, at: Instant) -> u64 {
        let ahead = at.saturating_duration_since(self.instant).as_millis() as u64;
        let behind = self.instant.saturating_duration_since(at).as_millis() as u64;
        (self.now_ms() + ahead).saturating_sub(behind)
    }

    /// A moment that has passed; one before the machine's start is not known exactly.
    fn past(self, ms: u64) -> Instant {
        let ago = Duration::from_millis(self.now_ms().saturating_sub(ms));
        self.instant.checked_sub(ago).unwrap_or(self.instant)
    }

    /// A moment to come; one that has passed is now.
    fn future(self, ms: u64) -> Instant {
        let ahead = Duration::from_millis(ms.saturating_sub(self.now_ms()));
        self.instant.checked_add(ahead).unwrap_or(self.instant)
    }
}

impl Saved {
    /// What is so now.
    pub fn of(topology: &Topology, clock: Clock) -> Self {
        let frontends = topology.frontends.iter().filter_map(|frontend| {
            let saved = SavedFrontend::of(frontend, topology)?;
            Some((frontend.config.name.clone(), saved))
        });
        let servers = topology.servers();
        let servers = servers.map(|server| (server.path.clone(), SavedServer::of(server, clock)));
        Self {
            version: VERSION,
            written: clock.now_ms(),
            frontends: frontends.collect(),
            servers: servers.collect(),
        }
    }

    /// Reads what [`Saved::json`] has written.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let saved: Self =
            serde_json::from_slice(json).map_err(|error| format!("it cannot be read: {error}"))?;
        if saved.version != VERSION {
            return Err(format!("its version is {}, not {VERSION}", saved.version));
        }
        Ok(saved)
    }

    /// As text, one server a line so that people can read it too.
    pub fn json(&self) -> Vec<u8> {
        // There is no key that is not a string, which is all that could fail.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// How long ago it was true.
    pub fn age(&self, clock: Clock) -> Duration {
        Duration::from_millis(clock.now_ms().saturating_sub(self.written))
    }

    /// Whether both say the same, at whatever time.
    fn says_the_same(&self, other: &Self) -> bool {
        self.frontends == other.frontends && self.servers == other.servers
    }

    /// Has `topology`, which has just been built, begin with what was so. Where the
    /// configuration has changed since, it wins. Returns what was ignored, and why.
    pub fn apply(&self, topology: &Topology, clock: Clock) -> Vec<String> {
        let mut ignored = Vec::new();
        let mut known = 0;
        for server in topology.servers() {
            let Some(saved) = self.servers.get(&server.path) else {
                continue;
            };
            known += 1;
            let faults = saved.apply(server, clock);
            ignored.extend(faults.map(|fault| format!("server {}: {fault}", server.path)));
        }
        if known < self.servers.len() {
            let gone = |path: &&String| topology.servers().all(|server| server.path != **path);
            let gone = self.servers.keys().filter(gone);
            ignored.extend(gone.map(|path| format!("server {path}: there is none any more")));
        }
        for frontend in &topology.frontends {
            if let Some(saved) = self.frontends.get(&frontend.config.name) {
                saved.apply(frontend, topology);
            }
        }
        for backend in &topology.backends {
            backend.recompute(clock.instant);
        }
        topology.settle_rules();
        ignored
    }
}

impl SavedFrontend {
    fn of(frontend: &Frontend, topology: &Topology) -> Option<Self> {
        let rules = frontend.config.rules.iter().enumerate();
        let latched = rules.filter(|(index, _)| frontend.is_latched(*index));
        let saved = Self {
            enabled: frontend.is_enabled(),
            latched: latched.map(|(_, rule)| identity(rule, topology)).collect(),
        };
        (!saved.enabled || !saved.latched.is_empty()).then_some(saved)
    }

    fn apply(&self, frontend: &Frontend, topology: &Topology) {
        frontend.switch(self.enabled);
        for (index, rule) in frontend.config.rules.iter().enumerate() {
            if rule.until.is_some() && self.latched.contains(&identity(rule, topology)) {
                frontend.latch(index);
            }
        }
    }
}

/// A rule with another condition is another rule.
fn identity(rule: &RuleConfig, topology: &Topology) -> String {
    let backend = &topology.backend(rule.backend).config.name;
    format!("{backend} if {}", rule.text)
}

/// Has `topology`, which has just been built, begin with what `config`'s file says. What is
/// wrong with the file is told, and keeps nothing from starting.
pub fn restore(config: &StateConfig, topology: &Topology) {
    let (path, clock) = (config.file.display(), Clock::now());
    let saved = match file::load(&config.file) {
        Ok(None) => {
            tracing::info!("There is no state in {path} yet.");
            return;
        }
        Ok(Some(saved)) => saved,
        Err(error) => {
            tracing::error!("The state in {path} is ignored: {error}.");
            return;
        }
    };
    let age = saved.age(clock);
    if age > config.max_age {
        let (age, most) = (rounded(age), shown(config.max_age));
        tracing::warn!(
            "The state in {path} is ignored: it is {age} old, and `state_max_age` is {most}."
        );
        return;
    }
    let ignored = saved.apply(topology, clock);
    tell_ignored(&ignored);
    tracing::info!(
        "The state of {} servers was taken from {path}, which is {} old.",
        saved.servers.len(),
        rounded(age)
    );
}

/// Tells which parts of a saved state were of no use.
pub fn tell_ignored(ignored: &[String]) {
    for reason in ignored.iter().take(TOLD) {
        tracing::warn!("Saved state is ignored of {reason}.");
    }
    if ignored.len() > TOLD {
        let more = ignored.len() - TOLD;
        tracing::warn!("Saved state is ignored of {more} more servers.");
    }
}

fn rounded(age: Duration) -> String {
    let seconds = age.as_secs().max(1);
    let units = [24 * 60 * 60, 60 * 60, 60];
    let unit = units.into_iter().find(|unit| seconds >= 2 * unit);
    let unit = unit.unwrap_or(1);
    shown(Duration::from_secs(seconds / unit * unit))
}

#[cfg(test)]
mod tests;

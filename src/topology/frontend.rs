//! A frontend: its rules and what it counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::admission::Limit;
use super::guard::Door;
use crate::acl::eval::Facts;
use crate::config::{FrontendConfig, RuleConfig};
use crate::counters::{Counters, Endings};
use crate::id::FrontendId;

/// A listening side with its rules.
#[derive(Debug)]
pub struct Frontend {
    /// Where it stands in the configuration.
    pub id: FrontendId,
    /// What the configuration says.
    pub config: FrontendConfig,
    /// What it counted.
    pub counters: Arc<Counters>,
    /// How its sessions ended.
    pub endings: Arc<Endings>,
    /// Whom it serves.
    pub door: Door,
    /// How many sessions it may have.
    pub(super) limit: Arc<Limit>,
    /// Whether its workers accept sessions. Written by the supervisor only.
    enabled: Arc<watch::Sender<bool>>,
    /// For each rule with `until`, whether it matches now. Written by the supervisor only.
    latched: Vec<AtomicBool>,
    /// When its new sessions began to go where they go now. Written by the supervisor only.
    routed: Arc<Mutex<Option<Instant>>>,
}

impl Frontend {
    /// A frontend with nothing counted.
    pub fn new(id: FrontendId, config: FrontendConfig, workers: usize) -> Self {
        let latched = config
            .rules
            .iter()
            .map(|_| AtomicBool::new(false))
            .collect();
        Self {
            id,
            door: Door::new(&config.clients, workers),
            limit: Arc::new(Limit::new(config.maxconn.unwrap_or(0))),
            config,
            counters: Arc::new(Counters::with_history(workers)),
            endings: Arc::new(Endings::new(workers)),
            enabled: Arc::new(watch::Sender::new(true)),
            latched,
            routed: Arc::default(),
        }
    }

    /// How long to wait for the PROXY header of a connection from `peer`; `None` if there is none
    /// to wait for.
    pub fn expects_header(&self, peer: SocketAddr) -> Option<Duration> {
        let accept = self.config.accept_proxy.as_ref()?;
        accept.from.contains(peer.ip()).then_some(accept.timeout)
    }

    /// The most sessions that it may have; 0 is no limit of its own.
    pub fn maxconn(&self) -> u32 {
        self.limit.most()
    }

    /// Sets the most sessions that it may have; 0 is no limit of its own. Open ones go on. Only
    /// the supervisor calls this.
    pub fn set_maxconn(&self, most: u32) {
        self.limit.set(most);
    }

    /// Since when new sessions go where they go now; `None` before sessions are accepted.
    pub fn routed_since(&self) -> Option<Instant> {
        *self.routed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that new sessions go elsewhere from `now` on. Only the supervisor calls this.
    pub fn rerouted(&self, now: Instant) {
        *self.routed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// The same frontend under another configuration, with what it counted. Its rules with
    /// `until` do not match yet.
    #[must_use]
    pub fn reconfigured(&self, id: FrontendId, config: FrontendConfig) -> Self {
        Self {
            counters: Arc::clone(&self.counters),
            endings: Arc::clone(&self.endings),
            limit: Arc::clone(&self.limit),
            door: self.door.reconfigured(&config.clients),
            enabled: Arc::clone(&self.enabled),
            routed: Arc::clone(&self.routed),
            ..Self::new(id, config, self.counters.workers())
        }
    }

    /// Whether sessions are accepted.
    pub fn is_enabled(&self) -> bool {
        *self.enabled.borrow()
    }

    /// Tells whether sessions are accepted, and whenever that changes.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.enabled.subscribe()
    }

    /// Has sessions accepted or not; returns whether that is a change. Only the supervisor
    /// calls this.
    pub fn switch(&self, enabled: bool) -> bool {
        let change = |is: &mut bool| std::mem::replace(is, enabled) != enabled;
        self.enabled.send_if_modified(change)
    }

    /// The first rule that matches (configuration.txt, "`use_backend`"). It counts even if its
    /// backend has no usable server.
    pub fn matching_rule(&self, facts: &impl Facts) -> Option<&RuleConfig> {
        let mut rules = self.config.rules.iter().zip(&self.latched);
        let matches = |(rule, latched): &(&RuleConfig, &AtomicBool)| match &rule.condition {
            Some(_) if rule.until.is_some() => latched.load(Relaxed),
            Some(condition) => condition.holds(facts),
            None => true,
        };
        rules.find(matches).map(|(rule, _)| rule)
    }

    /// Whether the rule at `index` has matched and its `until` has not held since.
    pub fn is_latched(&self, index: usize) -> bool {
        self.latched[index].load(Relaxed)
    }

    /// Has the rule at `index` go on to match as it did before a restart, until its `until` holds.
    pub fn latch(&self, index: usize) {
        self.latched[index].store(true, Relaxed);
    }

    /// Lets rules with `until` begin or end to match. Only the supervisor calls this, when a
    /// server has changed.
    pub fn settle(&self, facts: &impl Facts) {
        for (rule, latched) in self.config.rules.iter().zip(&self.latched) {
            if let (Some(condition), Some(until)) = (&rule.condition, &rule.until) {
                let goes_on = latched.load(Relaxed) && !until.holds(facts);
                latched.store(goes_on || condition.holds(facts), Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::acl::{Comparison, Condition, Sample};
    use crate::config::ClientTimeouts;
    use crate::id::{BackendId, ServerId};

    /// A backend with some usable servers, and nothing else.
    struct Usable(Cell<u64>);

    impl Facts for Usable {
        fn usable_servers(&self, _: BackendId) -> u64 {
            self.0.get()
        }
        fn backend_sessions(&self, _: BackendId) -> u64 {
            0
        }
        fn frontend_sessions(&self, _: FrontendId) -> u64 {
            0
        }
        fn server_is_up(&self, _: ServerId) -> bool {
            true
        }
        fn client(&self) -> IpAddr {
            Ipv4Addr::LOCALHOST.into()
        }
        fn destination_port(&self) -> u16 {
            0
        }
    }

    fn nbsrv(comparison: Comparison, count: u64) -> Condition {
        Condition::Compare(Sample::UsableServers(BackendId(0)), comparison, count)
    }

    #[test]
    fn a_rule_with_until_leaves_at_one_number_and_returns_at_another() {
        let rule = RuleConfig {
            backend: BackendId(1),
            condition: Some(nbsrv(Comparison::LessOrEqual, 2)),
            until: Some(nbsrv(Comparison::GreaterOrEqual, 4)),
            text: String::new(),
        };
        let config = FrontendConfig {
            name: "f".into(),
            bind: Vec::new(),
            maxconn: None,
            clients: crate::config::clients::ClientLimits::default(),
            accept_proxy: None,
            rules: vec![rule],
            default_backend: Some(BackendId(0)),
            timeout: ClientTimeouts::default(),
            splice: crate::config::SpliceMode::default(),
            log_format: None,
            socket: crate::sys::options::ListenOptions::default(),
        };
        let frontend = Frontend::new(FrontendId(0), config, 1);
        let facts = Usable(Cell::new(0));
        let matched: Vec<_> = [4, 3, 2, 3, 2, 3, 4, 3]
            .map(|usable| {
                facts.0.set(usable);
                frontend.settle(&facts);
                frontend.matching_rule(&facts).is_some()
            })
            .into();
        assert_eq!(
            matched,
            [false, false, true, true, true, true, false, false]
        );
    }
}

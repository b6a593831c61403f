//! What another configuration changes, in words.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::time::Duration;

use super::value::shown;
use super::{BackendConfig, Config, FrontendConfig, ServerConfig};
use crate::acl::show::Names;

/// What another configuration changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// What a reload does, one sentence each; frontends, then backends, then the rest.
    pub changes: Vec<String>,
    /// What only a restart does.
    pub restart: Vec<String>,
}

impl Difference {
    /// What takes place when `new` takes the place of `old`.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut found = Self::default();
        let before = by_name(&old.frontends, |f| &f.name);
        for frontend in &new.frontends {
            match before.get(frontend.name.as_str()).copied() {
                None => found.add(format!(
                    "frontend {} is new, on {}",
                    frontend.name,
                    listed(&frontend.bind)
                )),
                Some(before) => found.frontend((old, before), (new, frontend)),
            }
        }
        for gone in missing(&old.frontends, &new.frontends, |f| &f.name) {
            found.add(format!(
                "frontend {} is removed; its sessions go on to their end",
                gone.name
            ));
        }
        let before = by_name(&old.backends, |b| &b.name);
        for backend in &new.backends {
            match before.get(backend.name.as_str()).copied() {
                None => found.add(format!(
                    "backend {} is new, with {}",
                    backend.name,
                    servers(backend.servers.len())
                )),
                Some(before) => found.backend((old, before), (new, backend)),
            }
        }
        for gone in missing(&old.backends, &new.backends, |b| &b.name) {
            found.add(format!(
                "backend {} is removed; its sessions go on to their end",
                gone.name
            ));
        }
        found.process(old, new);
        found
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.restart.is_empty()
    }

    /// What a reload would do.
    pub fn prospect(&self) -> String {
        let head = match (self.changes.is_empty(), self.restart.is_empty()) {
            (true, true) => "A reload would change nothing.\n",
            (true, false) => "A reload would change nothing, but a restart would:\n",
            (false, _) => "A reload would do this:\n",
        };
        head.to_owned() + &self.lines()
    }

    /// A line for each change, indented.
    pub fn lines(&self) -> String {
        let changes = self.changes.iter().map(|change| format!("  {change}\n"));
        let restart = self.restart.iter();
        let restart = restart.map(|what| format!("  only a restart changes this: {what}\n"));
        changes.chain(restart).collect()
    }

    fn add(&mut self, change: String) {
        self.changes.push(change);
    }

    fn frontend(
        &mut self,
        (old, a): (&Config, &FrontendConfig),
        (new, b): (&Config, &FrontendConfig),
    ) {
        let count = self.changes.len() + self.restart.len();
        let of = format!("frontend {}", b.name);
        let added: Vec<_> = not_in(&b.bind, &a.bind);
        let removed: Vec<_> = not_in(&a.bind, &b.bind);
        if !added.is_empty() {
            self.add(format!("{of} also listens on {}", listed(&added)));
        }
        if !removed.is_empty() {
            self.add(format!("{of} no longer listens on {}", listed(&removed)));
        }
        if a.socket != b.socket && added.len() < b.bind.len() {
            let what = format!("{of}: `socket` of the addresses that it listens on already");
            self.restart.push(what);
        }
        if rules(old, a) != rules(new, b) {
            let rules = servers_and(b.rules.len(), "rule", "rules");
            self.add(format!("{of}: its rules change; there are {rules} now"));
        }
        let default = |config: &Config, f: &FrontendConfig| {
            f.default_backend
                .map_or("none".to_owned(), |id| config.backend(id).to_owned())
        };
        self.setting(&of, "default_backend", &default(old, a), &default(new, b));
        self.most(&of, "maxconn", a.maxconn, b.maxconn);
        self.limit(&of, "timeout.client", a.timeout.client, b.timeout.client);
        self.limit(
            &of,
            "timeout.client_fin",
            a.timeout.client_fin,
            b.timeout.client_fin,
        );
        self.opaque(&of, "splice", &a.splice, &b.splice);
        let rest = |f: &FrontendConfig| FrontendConfig {
            rules: Vec::new(),
            default_backend: None,
            ..f.clone()
        };
        self.anything_else(count, &of, rest(a) == rest(b));
    }

    fn backend(
        &mut self,
        (old, a): (&Config, &BackendConfig),
        (new, b): (&Config, &BackendConfig),
    ) {
        let count = self.changes.len() + self.restart.len();
        let of = format!("backend {}", b.name);
        self.setting(&of, "allbackups", &a.allbackups, &b.allbackups);
        self.setting(&of, "retries", &a.retries, &b.retries);
        self.setting(&of, "balance", &a.balance, &b.balance);
        self.most(&of, "maxqueue", a.maxqueue, b.maxqueue);
        self.limit(&of, "timeout.queue", a.timeout.queue, b.timeout.queue);
        self.limit(&of, "timeout.connect", a.timeout.connect, b.timeout.connect);
        self.limit(&of, "timeout.server", a.timeout.server, b.timeout.server);
        self.limit(
            &of,
            "timeout.server_fin",
            a.timeout.server_fin,
            b.timeout.server_fin,
        );
        self.limit(&of, "timeout.tunnel", a.timeout.tunnel, b.timeout.tunnel);
        self.limit(&of, "timeout.check", a.timeout.check, b.timeout.check);
        self.opaque(&of, "hedge", &a.failover.hedge, &b.failover.hedge);
        self.opaque(&of, "failback", &a.failover.failback, &b.failover.failback);
        self.opaque(
            &of,
            "flap_damping",
            &a.failover.flap_damping,
            &b.failover.flap_damping,
        );
        self.opaque(&of, "min_up", &a.failover.min_up, &b.failover.min_up);
        self.opaque(
            &of,
            "prefer_zone",
            &a.failover.prefer_zone,
            &b.failover.prefer_zone,
        );
        self.opaque(&of, "splice", &a.splice, &b.splice);
        self.opaque(&of, "socket", &a.socket, &b.socket);
        let rest = |backend: &BackendConfig| BackendConfig {
            servers: Vec::new(),
            ..backend.clone()
        };
        self.anything_else(count, &of, rest(a) == rest(b));
        let before = by_name(&a.servers, |s| &s.name);
        for server in &b.servers {
            let path = format!("server {}/{}", b.name, server.name);
            match before.get(server.name.as_str()).copied() {
                None => self.add(format!("{path} at {} is new", server.address)),
                Some(before) => self.server(&path, (old, before), (new, server)),
            }
        }
        for gone in missing(&a.servers, &b.servers, |s| &s.name) {
            self.add(format!(
                "server {}/{} is removed; its sessions go on to their end",
                b.name, gone.name
            ));
        }
        let after = by_name(&b.servers, |s| &s.name);
        let names = |servers: &[ServerConfig]| -> Vec<String> {
            let stays = |name: &&String| {
                before.contains_key(name.as_str()) && after.contains_key(name.as_str())
            };
            let names = servers.iter().map(|server| &server.name);
            names.filter(stays).cloned().collect()
        };
        if names(&a.servers) != names(&b.servers) {
            self.add(format!("{of}: its servers stand in another order"));
        }
    }

    fn server(
        &mut self,
        of: &str,
        (old, a): (&Config, &ServerConfig),
        (new, b): (&Config, &ServerConfig),
    ) {
        let count = self.changes.len();
        if a.address != b.address {
            self.add(format!(
                "{of} is at {} in place of {}; sessions there go on to their end",
                b.address, a.address
            ));
        }
        self.setting(of, "weight", &a.weight, &b.weight);
        self.most(of, "maxconn", a.maxconn, b.maxconn);
        self.setting(of, "backup", &a.backup, &b.backup);
        self.setting(of, "tier", &a.tier, &b.tier);
        self.opaque(of, "zone", &a.zone, &b.zone);
        match (&a.check, &b.check) {
            (None, Some(_)) => self.add(format!("{of} is checked from now on")),
            (Some(_), None) => self.add(format!("{of} is checked no longer")),
            (a, b) if a != b => self.add(format!("{of}: `check` changes, and it is checked anew")),
            _ => {}
        }
        self.opaque(of, "resolve", &a.resolve, &b.resolve);
        self.opaque(of, "agent", &a.agent, &b.agent);
        let tracked = |config: &Config, server: &ServerConfig| {
            server.track.map_or("none".to_owned(), |id| {
                format!("{}/{}", config.backend(id.backend), config.server(id))
            })
        };
        self.setting(of, "track", &tracked(old, a), &tracked(new, b));
        let (p, q) = (&a.policy, &b.policy);
        self.opaque(of, "init_state", &p.init_state, &q.init_state);
        self.opaque(of, "slowstart", &p.slowstart, &q.slowstart);
        self.opaque(of, "on_marked_down", &p.on_marked_down, &q.on_marked_down);
        self.opaque(of, "on_marked_up", &p.on_marked_up, &q.on_marked_up);
        self.opaque(of, "observe", &p.observe, &q.observe);
        self.opaque(of, "silence", &p.silence, &q.silence);
        let rest = |server: &ServerConfig| ServerConfig {
            track: None,
            ..server.clone()
        };
        self.anything_else(count + self.restart.len(), of, rest(a) == rest(b));
    }

    fn process(&mut self, old: &Config, new: &Config) {
        self.most("the process", "maxconn", old.maxconn, new.maxconn);
        self.opaque("the process", "grace", &old.grace, &new.grace);
        self.opaque(
            "the process",
            "spread_checks",
            &old.spread_checks,
            &new.spread_checks,
        );
        match (&old.stats, &new.stats) {
            (None, Some(stats)) => {
                self.add(format!("the stats page is new, on {}", listed(&stats.bind)));
            }
            (Some(_), None) => self.add("the stats page is removed".to_owned()),
            (a, b) if a != b => self.add("the stats page's settings change".to_owned()),
            _ => {}
        }
        let fixed = [
            ("`threads`", old.threads == new.threads),
            ("`pin_threads`", old.pin_threads == new.pin_threads),
            ("`[log]`", old.log == new.log),
            ("`[events]`", old.events == new.events),
            ("`[api]`", old.api == new.api),
            ("`upgrade_socket`", old.upgrade_socket == new.upgrade_socket),
            ("`[hooks]`", old.hooks == new.hooks),
            ("`state_file` and `state_max_age`", old.state == new.state),
            (
                "`user` and what the process may do",
                old.privileges == new.privileges,
            ),
            (
                "`reload_on_change`",
                old.reload_on_change == new.reload_on_change,
            ),
        ];
        let changed = fixed.into_iter().filter(|(_, same)| !same);
        self.restart
            .extend(changed.map(|(what, _)| what.to_owned()));
    }

    /// A setting whose values may be shown.
    fn setting<T: Display + PartialEq>(&mut self, of: &str, key: &str, old: &T, new: &T) {
        if old != new {
            self.add(format!("{of}: `{key}` is {new} in place of {old}"));
        }
    }

    fn limit(&mut self, of: &str, key: &str, old: Option<Duration>, new: Option<Duration>) {
        let word = |limit: Option<Duration>| limit.map_or("unlimited".to_owned(), shown);
        self.setting(of, key, &word(old), &word(new));
    }

    fn most(&mut self, of: &str, key: &str, old: Option<u32>, new: Option<u32>) {
        let word = |most: Option<u32>| most.map_or("unlimited".to_owned(), |n| n.to_string());
        self.setting(of, key, &word(old), &word(new));
    }

    /// A setting whose values are long, or may hold a secret.
    fn opaque<T: Debug + PartialEq>(&mut self, of: &str, key: &str, old: &T, new: &T) {
        if old != new {
            self.add(format!("{of}: `{key}` changes"));
        }
    }

    /// What has no sentence of its own must not go unmentioned.
    fn anything_else(&mut self, count: usize, of: &str, same: bool) {
        if !same && self.changes.len() + self.restart.len() == count {
            self.add(format!("{of}: its settings change"));
        }
    }
}

/// A frontend's rules by names: ids may change their meaning.
fn rules(config: &Config, frontend: &FrontendConfig) -> Vec<String> {
    let rules = frontend.rules.iter().map(|rule| {
        let conditions = [&rule.condition, &rule.until];
        let shown = conditions.map(|c| c.as_ref().map(|c| c.written_out(config)));
        format!("{} {shown:?}", config.backend(rule.backend))
    });
    rules.collect()
}

fn by_name<T>(items: &[T], name: fn(&T) -> &String) -> HashMap<&str, &T> {
    items
        .iter()
        .map(|item| (name(item).as_str(), item))
        .collect()
}

fn missing<'a, T>(
    from: &'a [T],
    others: &'a [T],
    name: fn(&T) -> &String,
) -> impl Iterator<Item = &'a T> {
    let others = by_name(others, name);
    from.iter()
        .filter(move |item| !others.contains_key(name(item).as_str()))
}

fn not_in(these: &[SocketAddr], others: &[SocketAddr]) -> Vec<SocketAddr> {
    let wanted = these.iter().filter(|address| !others.contains(address));
    wanted.copied().collect()
}

fn listed(addresses: &[SocketAddr]) -> String {
    let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    shown.join(", ")
}

fn servers(count: usize) -> String {
    servers_and(count, "server", "servers")
}

fn servers_and(count: usize, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {several}"),
    }
}

#[cfg(test)]
mod tests;

//! The way of a new session, as text: the rules of its frontend, then the servers of its
//! backend.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use super::scenario::Scenario;
use super::servers::{attempts, counted, listed, name, next_sessions, passed_over, servers_in_use};
use super::words::{Client, Words};
use super::{Routes, Why};
use crate::config::{Balance, RuleConfig};
use crate::id::{BackendId, FrontendId};
use crate::topology::{Backend, Frontend, Topology};

/// How many sessions are followed.
const SESSIONS: usize = 8;

/// How many servers are named where all of a kind are meant.
const NAMES: usize = 8;

/// A client of no account.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How many attempts of one session are named.
const ATTEMPTS: usize = 12;

/// Explains where new sessions of `frontends` go.
///
/// `scenario` makes the same scenario each time: sessions take turns, so the way of each session
/// is looked at in one that no other has passed.
pub fn explain(
    scenario: impl Fn() -> Scenario,
    frontends: &[FrontendId],
    client: impl Fn(&Frontend) -> Client,
) -> String {
    let (first, second) = (scenario(), scenario());
    let topology = first.topology();
    let (mut text, mut reached) = (String::new(), BTreeSet::new());
    let known = frontends
        .iter()
        .find_map(|&id| client(topology.frontend(id)).source);
    for &id in frontends {
        let frontend = topology.frontend(id);
        reached.extend(rules(&mut text, frontend, topology, client(frontend)));
    }
    for id in reached {
        let backend = topology.backend(id);
        let _ = writeln!(
            text,
            "backend {}: {}",
            backend.config.name,
            servers_in_use(backend)
        );
        sessions(&mut text, backend, known);
        retries(&mut text, second.topology().backend(id), known);
        others(&mut text, backend, &first);
    }
    text
}

/// The rules of a frontend and what became of each; returns the backends that sessions reach.
fn rules(
    text: &mut String,
    frontend: &Frontend,
    topology: &Topology,
    client: Client,
) -> Vec<BackendId> {
    let routes = Routes::for_client(frontend, topology, client);
    let binds: Vec<_> = frontend
        .config
        .bind
        .iter()
        .map(ToString::to_string)
        .collect();
    let _ = writeln!(
        text,
        "frontend {} on {}",
        frontend.config.name,
        binds.join(", ")
    );
    let mut decided = false;
    for (index, rule) in frontend.config.rules.iter().enumerate() {
        let backend = &topology.backend(rule.backend).config.name;
        let when = if rule.text.is_empty() {
            String::new()
        } else {
            format!(" if {}", rule.text)
        };
        let _ = writeln!(text, "  rule {}: {backend}{when}", index + 1);
        let (matches, why) = if decided {
            (false, "not reached".into())
        } else {
            verdict(rule, frontend.is_latched(index), topology, client)
        };
        decided |= matches;
        let _ = writeln!(text, "    {why}");
    }
    let otherwise = routes.otherwise.as_ref();
    let _ = match (
        frontend.config.default_backend,
        otherwise.map(|route| &route.why),
    ) {
        (Some(id), why) => {
            let no_rules = frontend.config.rules.is_empty();
            let taken = match (why, routes.for_some.is_empty()) {
                (Some(Why::Default), true) if no_rules => "taken: there is no rule",
                (Some(Why::Default), true) => "taken: no rule matches",
                (Some(Why::Default), false) => "taken by clients that no rule matches",
                _ => "not reached",
            };
            writeln!(
                text,
                "  default: {}\n    {taken}",
                topology.backend(id).config.name
            )
        }
        (None, None) => writeln!(text, "  no rule matches and there is no default: refused"),
        (None, Some(_)) => Ok(()),
    };
    text.push('\n');
    let reached = routes.for_some.iter().chain(otherwise);
    reached.map(|route| route.backend.id).collect()
}

/// Whether a rule takes every session that comes to it, and why.
fn verdict(
    rule: &RuleConfig,
    latched: bool,
    topology: &Topology,
    client: Client,
) -> (bool, String) {
    let Some(condition) = &rule.condition else {
        return (true, "matches: it has no condition".into());
    };
    let words = Words::for_client(condition, topology, client);
    let evidence = words.evidence();
    let until = rule.until.as_ref().filter(|_| latched);
    match (words.truth(), until) {
        (Some(true), None) => (true, format!("matches: {evidence}")),
        (Some(true), Some(until)) => {
            let until = Words::for_client(until, topology, client);
            (true, format!("matches, until {until}: {evidence}"))
        }
        (Some(false), Some(until)) => {
            let until = Words::for_client(until, topology, client);
            let told = until.evidence();
            (
                true,
                format!("has matched and goes on to, until {until}: {told}"),
            )
        }
        (Some(false), None) => (false, format!("does not match: {evidence}")),
        (None, _) if evidence.is_empty() => (false, "depends on the client".into()),
        (None, _) => (false, format!("depends on the client: {evidence}")),
    }
}

/// Which servers the next sessions get. Where that depends on who comes or on chance, how it is
/// found.
fn sessions(text: &mut String, backend: &Backend, client: Option<IpAddr>) {
    let next = next_sessions(backend, client.unwrap_or(NOBODY), SESSIONS);
    let Some(&first) = next.first() else { return };
    let names = |positions: &[u32], most| {
        let names = positions.iter().map(|&position| name(backend, position));
        listed(names, most)
    };
    let (how, servers) = match (backend.config.balance, client) {
        (Balance::RoundRobin, _) => (String::new(), names(&next, SESSIONS) + ", …"),
        (Balance::LeastConn, _) => (
            " (leastconn, as long as none of them lasts)".into(),
            names(&next, SESSIONS) + ", …",
        ),
        (Balance::Source, Some(client)) => (
            format!(" of {client} (source)"),
            name(backend, first).into(),
        ),
        (Balance::Source, None) => (
            " (source)".into(),
            "each client has a server of its own; name one with --src".into(),
        ),
        (Balance::Random { draws: 1 }, _) => (" (random)".into(), "one drawn by weight".into()),
        (Balance::Random { draws }, _) => (
            " (random)".into(),
            format!("of {draws} drawn by weight the one with the fewest sessions"),
        ),
        (Balance::First, _) => (
            " (first, each up to its maxconn)".into(),
            names(backend.usable().in_use(), SESSIONS),
        ),
    };
    let _ = writeln!(text, "  next sessions{how}: {servers}");
}

fn retries(text: &mut String, backend: &Backend, client: Option<IpAddr>) {
    let by_chance = match backend.config.balance {
        Balance::Source => client.is_none(),
        Balance::Random { .. } => true,
        Balance::RoundRobin | Balance::LeastConn | Balance::First => false,
    };
    if by_chance {
        return;
    }
    let tried = attempts(backend, client.unwrap_or(NOBODY));
    let Some((&first, then)) = tried.split_first() else {
        return;
    };
    let first = name(backend, first);
    let most = counted(backend.config.retries as usize + 1, "attempt", "attempts");
    let _ = if then.is_empty() && backend.config.retries == 0 {
        writeln!(text, "  if {first} fails: the session is closed ({most})")
    } else if then.is_empty() {
        writeln!(
            text,
            "  if {first} fails: {first} again after a wait ({most})"
        )
    } else {
        let names = then.iter().map(|&position| name(backend, position));
        writeln!(
            text,
            "  if {first} fails: {} ({most} at most)",
            listed(names, ATTEMPTS)
        )
    };
}

/// The servers that get no session, those with the same reason together.
fn others(text: &mut String, backend: &Backend, scenario: &Scenario) {
    let mut groups: Vec<(String, Vec<u32>)> = Vec::new();
    for position in 0..backend.servers.len() as u32 {
        let Some(reason) = passed_over(backend, position, scenario.now()) else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, positions)) => positions.push(position),
            None => groups.push((reason, vec![position])),
        }
    }
    if !groups.is_empty() {
        text.push_str("  passed over:\n");
    }
    for (reason, positions) in groups {
        let names = positions.iter().map(|&position| name(backend, position));
        let _ = writeln!(text, "    {}: {reason}", listed(names, NAMES));
    }
    text.push('\n');
}

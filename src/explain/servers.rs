//! Which servers of a backend get sessions, in which order, and why the others do not.

use std::net::IpAddr;
use std::time::Instant;

use crate::topology::status::State;
use crate::topology::usable::Mode;
use crate::topology::{Backend, Server};

/// Which of a backend's servers get its new sessions, such as `2 of 2 primaries`.
pub fn servers_in_use(backend: &Backend) -> String {
    let set = backend.usable();
    let (primaries, backups) = (of_kind(backend, false), of_kind(backend, true));
    let used = set.nbsrv();
    let servers = match set.mode() {
        Mode::Nothing => return "no server is usable, sessions are refused".into(),
        Mode::Primaries if has_tiers(backend) => tier(backend, 0),
        Mode::Primaries => format!("{used} of {}", counted(primaries, "primary", "primaries")),
        Mode::Tier(number) => format!(
            "{}{}",
            lacking(backend).map_or(String::new(), |lacking| format!("{lacking}, ")),
            tier(backend, number)
        ),
        Mode::AllBackups => format!(
            "{}{used} of {}",
            without_primary(backend, primaries),
            counted(backups, "backup", "backups")
        ),
        Mode::FirstBackup => {
            let name = set.in_use().first().map_or("", |&p| name(backend, p));
            format!(
                "{}backup {name} takes all",
                without_primary(backend, primaries)
            )
        }
    };
    servers + &zone_in_use(backend) + probation_in_use(backend)
}

/// The first servers that new sessions of `client` get, `count` at most.
///
/// This takes turns, so the sessions after these get the servers after these.
pub fn next_sessions(backend: &Backend, client: IpAddr, count: usize) -> Vec<u32> {
    let set = backend.usable();
    (0..count).map_while(|_| set.first(client)).collect()
}

/// The servers that one session of `client` tries until it has no attempt or no server left.
pub fn attempts(backend: &Backend, client: IpAddr) -> Vec<u32> {
    let (set, retries) = (backend.usable(), backend.config.retries as usize);
    let mut tried: Vec<u32> = set.first(client).into_iter().collect();
    while !tried.is_empty() && tried.len() <= retries {
        match set.next(client, &tried, tried.len() == retries) {
            Some(position) => tried.push(position),
            None => break,
        }
    }
    tried
}

/// Why the server at `position` gets no new session at `now`; `None` if it does.
pub fn passed_over(backend: &Backend, position: u32, now: Instant) -> Option<String> {
    let set = backend.usable();
    if set.in_use().binary_search(&position).is_ok() {
        return None;
    }
    let server = backend.server(position);
    let status = server.status();
    let (state, hold, waits) = (status.state, status.hold, status.awaits_address());
    drop(status);
    Some(match state {
        State::Down => "down".into(),
        State::Maintenance if waits => {
            format!("{} has no address for it", server.config.address.host)
        }
        State::Maintenance => "in maintenance".into(),
        State::Drain => "draining".into(),
        _ if server.address().is_none() => "its name does not resolve".into(),
        _ if server.candidate(zone(backend), now).weight == 0 => "weight 0".into(),
        _ => match hold {
            Some(hold) => format!("up, but {}", hold.reason),
            None => outranked(backend, server),
        },
    })
}

/// Why a usable server is not in use: its tier or its zone.
fn outranked(backend: &Backend, server: &Server) -> String {
    let set = backend.usable();
    let Some(used) = set.in_use().first().map(|&first| backend.server(first)) else {
        return String::new();
    };
    if server.tier < used.tier {
        let (usable, wanted) = (
            usable_in_tier(backend, server.tier),
            min_up(backend, server.tier),
        );
        return format!(
            "{}, {usable} usable, min_up is {wanted}",
            tier_name(backend, server)
        );
    }
    if server.tier == used.tier {
        return elsewhere(backend, server);
    }
    match (server.config.backup, used.config.backup) {
        (true, true) => format!("backup, {} comes first", used.config.name),
        (true, false) => format!("backup, {}", primaries_suffice(backend)),
        (false, _) => format!(
            "tier {}, tier {} has enough servers",
            server.tier, used.tier
        ),
    }
}

fn primaries_suffice(backend: &Backend) -> String {
    match min_up(backend, 0) {
        1 => "used when no primary is usable".into(),
        enough => format!("used when fewer than {enough} primaries are usable"),
    }
}

fn elsewhere(backend: &Backend, server: &Server) -> String {
    let Some(preferred) = &backend.config.failover.prefer_zone else {
        return String::new();
    };
    let own = match &server.config.zone {
        Some(zone) => format!("zone {zone}"),
        None => "in no zone".into(),
    };
    let near = backend.usable().nbsrv();
    let enough = preferred.min_up;
    format!(
        "{own}, zone {} has {near} usable, min_up is {enough}",
        preferred.zone
    )
}

/// What stands before the servers in use when tiers before theirs lack servers.
fn lacking(backend: &Backend) -> Option<String> {
    let set = backend.usable();
    let used = backend.server(*set.in_use().first()?).tier;
    let lacks = |tier| {
        let (usable, wanted) = (usable_in_tier(backend, tier), min_up(backend, tier));
        match wanted {
            1 => format!("tier {tier} has none usable"),
            _ => format!("tier {tier} has {usable} of the {wanted} that it needs"),
        }
    };
    let mut tiers: Vec<_> = backend
        .servers
        .iter()
        .map(|s| s.tier)
        .filter(|&t| t < used)
        .collect();
    tiers.sort_unstable();
    tiers.dedup();
    let lacking: Vec<_> = tiers.into_iter().map(lacks).collect();
    (!lacking.is_empty()).then(|| lacking.join(", "))
}

fn without_primary(backend: &Backend, primaries: usize) -> String {
    let usable = backend.usable().usable_primaries();
    match (primaries, usable) {
        (0, _) => String::new(),
        (_, 1..) => format!(
            "{usable} of {primaries} primaries usable and min_up is {}, ",
            min_up(backend, 0)
        ),
        (1, 0) => "the primary is not usable, ".into(),
        (_, 0) => "no primary is usable, ".into(),
    }
}

fn tier(backend: &Backend, number: u32) -> String {
    let all = backend.servers.iter().filter(|s| s.tier == number).count();
    let used = backend.usable().nbsrv();
    format!(
        "tier {number}, {used} of {}",
        counted(all, "server", "servers")
    )
}

/// Says so where a zone decides which servers are in use.
fn zone_in_use(backend: &Backend) -> String {
    let Some(preferred) = &backend.config.failover.prefer_zone else {
        return String::new();
    };
    let (name, wanted) = (preferred.zone.as_str(), preferred.min_up);
    let set = backend.usable();
    let near = |&&position: &&u32| backend.server(position).config.zone.as_deref() == Some(name);
    let near = set.in_use().iter().filter(near).count();
    if near == set.in_use().len() {
        format!(" (zone {name})")
    } else {
        format!(" (of any zone: {name} has {near}, min_up is {wanted})")
    }
}

fn probation_in_use(backend: &Backend) -> &'static str {
    let set = backend.usable();
    let first = set.in_use().first().map(|&first| backend.server(first));
    if first.is_some_and(|server| server.status().hold.is_some()) {
        " (on probation, but nobody else is left)"
    } else {
        ""
    }
}

/// Usable servers of a tier that are not on probation.
fn usable_in_tier(backend: &Backend, tier: u32) -> usize {
    let now = Instant::now();
    let of_tier = backend.servers.iter().filter(|server| server.tier == tier);
    of_tier
        .map(|server| server.candidate(None, now))
        .filter(|candidate| candidate.up && candidate.weight > 0 && !candidate.held)
        .count()
}

fn min_up(backend: &Backend, tier: u32) -> u32 {
    let configured = backend.config.failover.min_up.get(tier as usize);
    configured.copied().unwrap_or(1).max(1)
}

fn tier_name(backend: &Backend, server: &Server) -> String {
    if has_tiers(backend) {
        format!("tier {}", server.tier)
    } else {
        "primary".into()
    }
}

/// Whether the user put servers into tiers, rather than only marking backups.
fn has_tiers(backend: &Backend) -> bool {
    backend.servers.iter().any(|server| server.config.tier > 0)
}

fn of_kind(backend: &Backend, backup: bool) -> usize {
    let servers = backend.servers.iter();
    servers
        .filter(|server| server.config.backup == backup)
        .count()
}

fn zone(backend: &Backend) -> Option<&str> {
    let preferred = backend.config.failover.prefer_zone.as_ref();
    preferred.map(|preferred| preferred.zone.as_str())
}

/// The name of the server at a position.
pub(super) fn name(backend: &Backend, position: u32) -> &str {
    &backend.server(position).config.name
}

/// A number with its noun.
pub(super) fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Names joined by commas; of many only the first ones and how many more there are.
pub(super) fn listed<'n>(names: impl ExactSizeIterator<Item = &'n str>, most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let shown: Vec<_> = names.take(most).collect();
    let shown = shown.join(", ");
    match more {
        0 => shown,
        _ => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;

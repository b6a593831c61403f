//! Tiers, zones and what a server's failures lead to: what contradicts itself.

use std::collections::BTreeSet;

use super::names::unknown;
use crate::config::raw::{RawBackend, RawServer};
use crate::config::report::Problem;

pub(super) fn check(raw: &RawBackend, problems: &mut Vec<Problem>) {
    for server in &raw.servers {
        tier_of_backup(server, problems);
        if server.check.is_none() {
            needs_check(server, problems);
        }
    }
    zone(raw, problems);
    min_up(raw, problems);
}

fn tier_of_backup(server: &RawServer, problems: &mut Vec<Problem>) {
    if let Some(tier) = server.tier.as_ref().filter(|_| server.backup) {
        let problem = Problem::error("a server is a backup or has a `tier`, not both")
            .at(tier.span)
            .label("backups come after all tiers");
        problems.push(problem.help("remove `backup` or `tier`"));
    }
}

/// Both only count against what checks say of the server.
fn needs_check(server: &RawServer, problems: &mut Vec<Problem>) {
    let policy = &server.policy;
    let observe = policy.observe.as_ref().map(|at| ("observe", at.span));
    let silence = policy.silence.as_ref().map(|at| ("silence", at.span));
    for (key, span) in observe.into_iter().chain(silence) {
        let problem = Problem::error(format!("`{key}` needs a check"))
            .at(span)
            .label("without checks nothing would bring the server up again");
        problems.push(problem.help("add `check = true` to the server"));
    }
}

fn zone(raw: &RawBackend, problems: &mut Vec<Problem>) {
    let Some(preferred) = &raw.failover.prefer_zone else {
        return;
    };
    let (wanted, span) = (&preferred.zone.value, preferred.zone.span);
    let zones: BTreeSet<_> = raw.servers.iter().filter_map(zone_of).collect();
    if !zones.contains(wanted.as_str()) {
        let name = &raw.name.value;
        let title = format!("no server of backend `{name}` is in zone `{wanted}`");
        let add = || format!("add `zone = \"{wanted}\"` to the servers that are");
        problems.push(unknown(title, wanted, span, zones.into_iter(), add));
    }
}

fn zone_of(server: &RawServer) -> Option<&str> {
    server.zone.as_ref().map(|zone| zone.value.as_str())
}

/// Every number is for a tier that there is.
fn min_up(raw: &RawBackend, problems: &mut Vec<Problem>) {
    let tiers = raw.servers.iter().filter(|server| !server.backup);
    let tiers = tiers.map(|server| server.tier.as_ref().map_or(0, |tier| tier.value));
    let last = tiers.max().unwrap_or(0);
    let given = raw.failover.min_up.iter().flatten();
    if let Some((first, tier)) = given.zip(0..).find(|(_, tier)| *tier > last) {
        let name = &raw.name.value;
        let problem = Problem::error(format!("backend `{name}` has no server of tier {tier}"))
            .at(first.span)
            .label(format!("this is `min_up` of tier {tier}"));
        problems.push(problem.help("remove it; the numbers are for tier 0, 1, 2 and so on"));
    }
}

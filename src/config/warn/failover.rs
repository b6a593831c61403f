//! Doubtful failover settings: numbers that nothing can reach, and settings without effect.

use crate::config::fields::At;
use crate::config::raw::{RawBackend, RawConfig, RawPolicy, RawServer};
use crate::config::report::{Problem, Span};
use crate::config::{BackendConfig, Config, ServerConfig};

pub(super) fn check(raw: &RawConfig, config: &Config, warnings: &mut Vec<Problem>) {
    let servers = || config.backends.iter().flat_map(|backend| &backend.servers);
    without_observe(&raw.defaults.policy, servers(), warnings);
    for (raw, backend) in raw.backends.iter().zip(&config.backends) {
        tiers(raw, backend, warnings);
        zone(raw, backend, warnings);
        without_observe(&raw.policy, backend.servers.iter(), warnings);
        for (raw, server) in raw.servers.iter().zip(&backend.servers) {
            without_observe(&raw.policy, [server].into_iter(), warnings);
            without_check(raw, warnings);
        }
        backend_without_check(raw, warnings);
    }
}

fn tiers(raw: &RawBackend, backend: &BackendConfig, warnings: &mut Vec<Problem>) {
    for (wanted, tier) in raw.failover.min_up.iter().flatten().zip(0..) {
        let in_tier = |server: &&ServerConfig| !server.backup && server.tier == tier;
        let most = usable(backend.servers.iter().filter(in_tier));
        unreachable(wanted, most, &format!("tier {tier}"), warnings);
    }
}

fn zone(raw: &RawBackend, backend: &BackendConfig, warnings: &mut Vec<Problem>) {
    let Some(preferred) = &raw.failover.prefer_zone else {
        return;
    };
    let Some(wanted) = &preferred.min_up else {
        return;
    };
    let zone = preferred.zone.value.as_str();
    let near = |server: &&ServerConfig| server.zone.as_deref() == Some(zone);
    let most = usable(backend.servers.iter().filter(near));
    unreachable(wanted, most, &format!("zone `{zone}`"), warnings);
}

/// Servers of weight 0 never get a session.
fn usable<'s>(servers: impl Iterator<Item = &'s ServerConfig>) -> usize {
    servers.filter(|server| server.weight > 0).count()
}

fn unreachable(wanted: &At<u32>, most: usize, what: &str, warnings: &mut Vec<Problem>) {
    if wanted.value as usize > most {
        let title = format!("{what} can never have {} usable servers", wanted.value);
        let label = match most {
            1 => "it has 1".to_owned(),
            _ => format!("it has {most}"),
        };
        let problem = Problem::warning(title).at(wanted.span).label(label);
        warnings.push(problem.help("write a smaller `min_up`, or add servers"));
    }
}

/// `error_limit` and `on_error` of `policy`, which `servers` may take over.
fn without_observe<'s>(
    policy: &RawPolicy,
    mut servers: impl Iterator<Item = &'s ServerConfig>,
    warnings: &mut Vec<Problem>,
) {
    let limit = policy
        .error_limit
        .as_ref()
        .map(|at| ("error_limit", at.span));
    let on_error = policy.on_error.as_ref().map(|at| ("on_error", at.span));
    let given: Vec<_> = limit.into_iter().chain(on_error).collect();
    if given.is_empty() || servers.any(|server| server.policy.observe.is_some()) {
        return;
    }
    for (key, span) in given {
        let problem = Problem::warning(format!("`{key}` has no effect without `observe`"))
            .at(span)
            .label("failing connections are not counted");
        warnings.push(problem.help("add `observe = \"layer4\"`, or remove it"));
    }
}

fn without_check(raw: &RawServer, warnings: &mut Vec<Problem>) {
    if is_without_verdict(raw) {
        let subject = "a server without a check";
        no_effect(&about_state(&raw.policy), subject, warnings);
    }
}

fn backend_without_check(raw: &RawBackend, warnings: &mut Vec<Problem>) {
    if raw.servers.iter().all(is_without_verdict) {
        let policy = &raw.policy;
        let mut settings = about_state(policy);
        settings.extend(policy.observe.as_ref().map(|at| ("observe", at.span)));
        settings.extend(policy.silence.as_ref().map(|at| ("silence", at.span)));
        no_effect(&settings, "servers without a check", warnings);
    }
}

/// Whether nothing ever says that the server is down.
fn is_without_verdict(raw: &RawServer) -> bool {
    raw.check.is_none() && raw.agent.is_none() && raw.track.is_none()
}

/// Settings of what happens when a server's state changes.
fn about_state(policy: &RawPolicy) -> Vec<(&'static str, Span)> {
    let given = [
        policy.init_state.as_ref().map(|at| ("init_state", at.span)),
        policy.slowstart.as_ref().map(|at| ("slowstart", at.span)),
        policy
            .on_marked_down
            .as_ref()
            .map(|at| ("on_marked_down", at.span)),
    ];
    given.into_iter().flatten().collect()
}

fn no_effect(settings: &[(&str, Span)], subject: &str, warnings: &mut Vec<Problem>) {
    for (key, span) in settings {
        let problem = Problem::warning(format!("`{key}` has no effect on {subject}"))
            .at(*span)
            .label("nothing ever marks it down");
        warnings.push(problem.help("add `check = true`, or remove it"));
    }
}

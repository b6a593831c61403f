//! Backends and servers, completed from `[defaults]`.

use super::failover;
use super::names::{Index, duplicates};
use super::tracks;
use crate::config::clients::ProxyVersion;
use crate::config::raw::{
    RawBackend, RawCheck, RawConfig, RawDefaults, RawPolicy, RawResolve, RawServer, SendProxy,
};
use crate::config::report::Problem;
use crate::config::{BackendConfig, CheckConfig, ServerConfig, ServerTimeouts};

/// Connection attempts after the first (configuration.txt, "retries").
const DEFAULT_RETRIES: u32 = 3;

pub(super) fn build(
    raw: &RawConfig,
    index: &Index<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Vec<BackendConfig>> {
    for backend in &raw.backends {
        let names = backend
            .servers
            .iter()
            .filter_map(|server| server.name.as_ref());
        duplicates("server", names, problems);
        failover::check(backend, problems);
    }
    let backends = raw.backends.iter();
    let backends = backends.map(|backend| complete(backend, &raw.defaults));
    let tracked = tracks::resolve(raw, index, problems);
    let mut backends: Vec<_> = backends.collect::<Option<_>>()?;
    for (tracker, target) in tracked {
        let server = &mut backends[tracker.backend.index()].servers[tracker.index()];
        server.track = Some(target);
    }
    Some(backends)
}

fn complete(raw: &RawBackend, defaults: &RawDefaults) -> Option<BackendConfig> {
    let balance = raw.balance.or(defaults.balance);
    let checks = [
        raw.check.as_ref().map(|at| &at.value),
        Some(&defaults.check),
    ];
    let servers = raw
        .servers
        .iter()
        .map(|server| complete_server(server, checks, raw, defaults));
    Some(BackendConfig {
        name: raw.name.value.clone(),
        balance: balance.unwrap_or_default(),
        allbackups: raw.allbackups.or(defaults.allbackups).unwrap_or(false),
        splice: raw.splice.or(defaults.splice).unwrap_or_default(),
        log_health_checks: raw.log_health_checks.or(defaults.log_health_checks) == Some(true),
        socket: raw.socket.clone(),
        retries: raw.retries.or(defaults.retries).unwrap_or(DEFAULT_RETRIES),
        maxqueue: raw.maxqueue,
        timeout: complete_timeouts(raw.timeout, defaults.server),
        failover: raw.failover.complete(&defaults.failover),
        servers: servers.collect::<Option<_>>()?,
    })
}

fn complete_timeouts(own: ServerTimeouts, defaults: ServerTimeouts) -> ServerTimeouts {
    ServerTimeouts {
        queue: own.queue.or(defaults.queue),
        connect: own.connect.or(defaults.connect),
        server: own.server.or(defaults.server),
        server_fin: own.server_fin.or(defaults.server_fin),
        tunnel: own.tunnel.or(defaults.tunnel),
        check: own.check.or(defaults.check),
    }
}

fn complete_server(
    raw: &RawServer,
    checks: [Option<&RawCheck>; 2],
    backend: &RawBackend,
    defaults: &RawDefaults,
) -> Option<ServerConfig> {
    let policy = RawPolicy::complete([&raw.policy, &backend.policy, &defaults.policy]);
    Some(ServerConfig {
        name: raw.name.as_ref()?.value.clone(),
        address: raw.address.clone()?,
        resolve: RawResolve::complete([&raw.resolve, &backend.resolve, &defaults.resolve]),
        slot: raw.slot.clone(),
        backup: raw.backup,
        maxconn: raw.maxconn,
        weight: raw.weight.as_ref().map_or(1, |weight| weight.value as u16),
        tier: raw.tier.as_ref().map_or(0, |tier| tier.value as u32),
        zone: raw.zone.as_ref().map(|zone| zone.value.clone()),
        check: raw
            .check
            .as_ref()
            .map(|own| complete_check(own, checks, policy.send_proxy)),
        policy,
        agent: raw.agent.clone(),
        track: None,
    })
}

/// The server's own settings, then those of the backend, of `[defaults]`, of HAProxy.
///
/// A check at the server's own address begins with the PROXY header that sessions begin with
/// (configuration.txt, "check-send-proxy").
fn complete_check(
    own: &RawCheck,
    [backend, defaults]: [Option<&RawCheck>; 2],
    of_sessions: Option<ProxyVersion>,
) -> CheckConfig {
    let levels = [Some(own), backend, defaults];
    let levels = || levels.iter().copied().flatten();
    let standard = CheckConfig::default();
    let port = levels().find_map(|c| c.port);
    let host = levels().find_map(|c| c.host.clone());
    let elsewhere = port.is_some() || host.is_some();
    let default = if elsewhere { None } else { of_sessions };
    CheckConfig {
        send_proxy: levels()
            .find_map(|c| c.send_proxy)
            .map_or(default, SendProxy::version),
        interval: levels()
            .find_map(|c| c.interval)
            .unwrap_or(standard.interval),
        fast_interval: levels().find_map(|c| c.fast_interval),
        down_interval: levels().find_map(|c| c.down_interval),
        rise: levels().find_map(|c| c.rise).unwrap_or(standard.rise),
        fall: levels().find_map(|c| c.fall).unwrap_or(standard.fall),
        timeout: levels().find_map(|c| c.timeout),
        port,
        host,
        source: levels().find_map(|c| c.source),
        kind: levels().find_map(|c| c.kind.clone()).unwrap_or_default(),
    }
}

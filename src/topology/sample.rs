//! Made-up topologies for tests.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::acl::{Comparison, Condition, Sample};
use crate::config::clients::ClientLimits;
use crate::config::operation::{EventsConfig, PrivilegesConfig};
use crate::config::policy::{FailoverPolicy, ServerPolicy};
use crate::config::resolve::ResolveConfig;
use crate::config::{
    BackendConfig, Balance, CheckConfig, ClientTimeouts, Config, FrontendConfig, LogConfig,
    RuleConfig, ServerAddress, ServerConfig, ServerTimeouts, SpliceMode, StatsConfig,
};
use crate::id::BackendId;
use crate::sys::options::{ConnectOptions, ListenOptions};
use crate::topology::Topology;
use crate::topology::status::{CheckReport, CheckStatus, State};

/// A client that nothing depends on.
pub(crate) const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A checked server at `127.0.0.1`.
pub(crate) fn server(name: &str, port: u16, backup: bool) -> ServerConfig {
    ServerConfig {
        name: name.into(),
        address: ServerAddress {
            host: "127.0.0.1".into(),
            port,
        },
        resolve: ResolveConfig::default(),
        slot: None,
        backup,
        tier: 0,
        zone: None,
        policy: ServerPolicy::default(),
        weight: 1,
        check: Some(CheckConfig::default()),
        agent: None,
        track: None,
        maxconn: None,
    }
}

pub(crate) fn backend(name: &str, allbackups: bool, servers: Vec<ServerConfig>) -> BackendConfig {
    BackendConfig {
        name: name.into(),
        balance: Balance::RoundRobin,
        allbackups,
        retries: 3,
        maxqueue: None,
        timeout: ServerTimeouts::default(),
        failover: FailoverPolicy::default(),
        splice: SpliceMode::default(),
        log_health_checks: false,
        socket: ConnectOptions::default(),
        servers,
    }
}

pub(crate) fn frontend(
    name: &str,
    rules: Vec<RuleConfig>,
    default: Option<BackendId>,
) -> FrontendConfig {
    FrontendConfig {
        name: name.into(),
        bind: vec!["0.0.0.0:81".parse().unwrap()],
        maxconn: None,
        clients: ClientLimits::default(),
        accept_proxy: None,
        rules,
        default_backend: default,
        timeout: ClientTimeouts::default(),
        splice: SpliceMode::default(),
        log_format: None,
        socket: ListenOptions::default(),
    }
}

pub(crate) fn empty_config() -> Config {
    Config {
        threads: None,
        maxconn: None,
        pin_threads: false,
        grace: Duration::ZERO,
        reload_on_change: false,
        spread_checks: 0,
        log: LogConfig::default(),
        frontends: Vec::new(),
        backends: Vec::new(),
        stats: None,
        events: EventsConfig::default(),
        api: None,
        privileges: PrivilegesConfig::default(),
        upgrade_socket: None,
        state: None,
        hooks: Vec::new(),
    }
}

/// A page at `/` for anyone.
pub(crate) fn settings() -> StatsConfig {
    StatsConfig {
        bind: Vec::new(),
        uri: "/".into(),
        realm: "Strictly Private".into(),
        users: Vec::new(),
        admin: false,
        tls: None,
        refresh: None,
    }
}

/// One worker, started 4,320 seconds ago, every name resolved.
pub(crate) fn build(frontends: Vec<FrontendConfig>, backends: Vec<BackendConfig>) -> Arc<Topology> {
    let config = Config {
        frontends,
        backends,
        ..empty_config()
    };
    let started = Instant::now().checked_sub(Duration::from_secs(4_320));
    let topology = Topology::build(&config, 1, started.unwrap());
    for server in topology.servers() {
        let port = server.config.address.port;
        server.set_address(([127, 0, 0, 1], port).into());
    }
    for backend in &topology.backends {
        backend.recompute(topology.started);
    }
    Arc::new(topology)
}

/// Two farms and a rule between them, everything up: the configuration that users switch with.
pub(crate) fn farms() -> Arc<Topology> {
    let few = Condition::Compare(
        Sample::UsableServers(BackendId(0)),
        Comparison::LessOrEqual,
        2,
    );
    with_rules(vec![RuleConfig {
        backend: BackendId(1),
        condition: Some(Condition::Named(
            "MAIN_not_enough_capacity".into(),
            few.into(),
        )),
        until: None,
        text: "MAIN_not_enough_capacity".into(),
    }])
}

/// The two farms with other rules.
pub(crate) fn with_rules(rules: Vec<RuleConfig>) -> Arc<Topology> {
    let frontend = frontend("ft-app", rules, Some(BackendId(0)));
    build(vec![frontend], two_farms())
}

/// The two farms and no way to them.
pub(crate) fn without_default() -> Arc<Topology> {
    build(vec![frontend("ft-app", Vec::new(), None)], two_farms())
}

fn two_farms() -> Vec<BackendConfig> {
    let main = (1..=4).map(|n| server(&format!("nginx{n}"), 80 + n, false));
    let backup = (5..=8).map(|n| server(&format!("nginx{n}"), 80 + n, n > 6));
    vec![
        backend("bk-app-main", false, main.collect()),
        backend("bk-app-backup", true, backup.collect()),
    ]
}

/// Two primaries and two backups behind one frontend, everything up.
pub(crate) fn single_farm(allbackups: bool) -> Arc<Topology> {
    let servers = (1..=4).map(|n| server(&format!("s{n}"), 80 + n, n > 2));
    with_backend(backend("bk", allbackups, servers.collect()))
}

/// One backend behind one frontend.
pub(crate) fn with_backend(backend: BackendConfig) -> Arc<Topology> {
    build(
        vec![frontend("ft", Vec::new(), Some(BackendId(0)))],
        vec![backend],
    )
}

/// Has a check of a server refused and takes the server down, 60 seconds after the start.
pub(crate) fn take_down(topology: &Topology, backend: usize, server: usize) {
    let at = topology.started + Duration::from_secs(60);
    let backend = &topology.backends[backend];
    backend.servers[server].update(|status| {
        status.change(State::Down, at);
        status.cause = Some("Layer4 connection problem: Connection refused (in 2ms)".into());
        status.failed_checks += 1;
        if let Some(check) = &mut status.check {
            check.health = 0;
        }
        status.last_check = Some(CheckReport {
            status: CheckStatus::L4Connection,
            code: None,
            info: "Connection refused".into(),
            duration: Duration::from_millis(2),
        });
    });
    backend.recompute(at);
}

/// Has a check of a server pass; `health` is its counter after that.
pub(crate) fn pass_check(topology: &Topology, backend: usize, server: usize, health: u32) {
    topology.backends[backend].servers[server].update(|status| {
        if let Some(check) = &mut status.check {
            check.health = health;
        }
        status.last_check = Some(CheckReport {
            status: CheckStatus::L4Ok,
            code: None,
            info: String::new(),
            duration: Duration::from_micros(300),
        });
    });
}

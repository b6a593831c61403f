//! One check of one server, with its settings as they stand in a configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use backstop::checks::agent::{self, AgentReport};
use backstop::checks::probe::Probe;
use backstop::config;
use backstop::topology::status::{CheckReport, CheckStatus};
use backstop::topology::{Server, Topology};
use tokio::runtime::{Builder, Runtime};

/// Checks the server at `address` once with `check = { settings }`.
pub(crate) fn check(address: SocketAddr, settings: &str) -> CheckReport {
    let (topology, server) = server(address, &format!("check = {{ {settings} }}"));
    let config = server.config.check.as_ref().expect("a check");
    let timeouts = topology.backends[0].config.timeout;
    let probe = Probe::new(config, &timeouts);
    runtime().block_on(probe.run(&server))
}

/// Checks once; the status, code and evidence must be these.
pub(crate) fn expect(
    address: SocketAddr,
    settings: &str,
    status: CheckStatus,
    code: Option<u16>,
    info: &str,
) {
    let report = check(address, settings);
    let found = (report.status, report.code, report.info.as_str());
    assert_eq!(found, (status, code, info), "{settings}");
}

/// Asks the agent of a server at `address` once, with `agent = { settings }`.
pub(crate) fn ask(address: SocketAddr, settings: &str) -> AgentReport {
    let (topology, server) = server(address, &format!("agent = {{ {settings} }}"));
    let config = server.config.agent.as_ref().expect("an agent");
    let timeouts = topology.backends[0].config.timeout;
    runtime().block_on(agent::ask(&server, config, &timeouts))
}

fn server(address: SocketAddr, settings: &str) -> (Topology, Arc<Server>) {
    let text = format!(
        r#"
[defaults]
timeout = {{ client = "1s", connect = "1s", server = "1s" }}

[frontends.www]
bind = "127.0.0.1:1"
default_backend = "app"

[backends.app]
servers = [{{ name = "s1", address = "{address}", {settings} }}]
"#
    );
    let config = config::parse(&text, "check.toml", &|_| None);
    let config = config
        .unwrap_or_else(|report| panic!("{report}\n{text}"))
        .config;
    let topology = Topology::build(&config, 1, Instant::now());
    let server = Arc::clone(&topology.backends[0].servers[0]);
    server.set_address(address);
    (topology, server)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

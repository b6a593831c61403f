//! `/metrics`, `/healthz` and `/readyz` of the running program, and the dashboard and alert rules
//! that are shipped for them.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use rustix::process::Signal;

use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::wait::wait_until;

const ALERTS: &str = include_str!("../../configs/monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../../configs/monitoring/grafana-dashboard.json");

fn get(farm: &Farm, path: &str, authorized: bool) -> http::Response {
    let stats = farm.stats();
    let authorization = stats.authorization();
    let headers = if authorized {
        authorization.as_str()
    } else {
        ""
    };
    http::get(stats.address, path, headers).expect("an answer")
}

/// A frontend through which one session has passed, and its metrics.
fn metrics() -> (Farm, String) {
    let farm = Farm::new();
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "check = true");
    let backstop = farm.start();
    farm.stats().wait_for_check("s1");
    let mut client = farm.connect();
    client.write_all(b"four").expect("taken");
    client.read_exact(&mut [0; 4]).expect("echoed");
    drop(client);
    backstop.wait_for_sessions(1);
    let response = get(&farm, "/metrics", true);
    assert_eq!(response.status, 200);
    (farm, response.body)
}

/// The names of the samples.
fn names(metrics: &str) -> BTreeSet<&str> {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| line.split([' ', '{']).next())
        .collect()
}

/// Every word of a text that looks like the name of a metric.
fn mentioned(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("haproxy_") || word.starts_with("backstop_"))
        .collect()
}

#[test]
fn a_session_is_counted_everywhere() {
    let (_, metrics) = metrics();
    for line in [
        "haproxy_process_connections_total 1",
        "haproxy_frontend_sessions_total{proxy=\"ft\"} 1",
        "haproxy_frontend_bytes_in_total{proxy=\"ft\"} 4",
        "haproxy_server_bytes_out_total{proxy=\"bk\",server=\"s1\"} 4",
        "haproxy_server_status{proxy=\"bk\",server=\"s1\",state=\"UP\"} 1",
        "haproxy_server_check_status{proxy=\"bk\",server=\"s1\",state=\"L4OK\"} 1",
        "backstop_sessions_ended_total{proxy=\"ft\",termination=\"--\"} 1",
    ] {
        assert!(
            metrics.lines().any(|l| l == line),
            "no {line} in\n{metrics}"
        );
    }
}

#[test]
fn every_metric_of_the_dashboard_and_the_alert_rules_exists() {
    let (_, metrics) = metrics();
    let names = names(&metrics);
    for (file, text) in [
        ("alerts.yml", ALERTS),
        ("grafana-dashboard.json", DASHBOARD),
    ] {
        let mentioned = mentioned(text);
        assert!(mentioned.len() >= 7, "{file}: {mentioned:?}");
        let missing: Vec<_> = mentioned.difference(&names).collect();
        assert!(
            missing.is_empty(),
            "{file} uses {missing:?}, which do not exist"
        );
    }
}

#[test]
fn metrics_and_events_need_the_password_and_health_does_not() {
    let farm = Farm::new();
    let address = farm.next();
    let farm = farm.server("s1", address, "");
    let _backstop = farm.start();
    for path in ["/metrics", "/events.json", "/;json"] {
        assert_eq!(get(&farm, path, false).status, 401, "{path}");
        assert_eq!(get(&farm, path, true).status, 200, "{path}");
    }
    let health = get(&farm, "/healthz", false);
    assert_eq!((health.status, health.body.as_str()), (200, "alive\n"));
    let ready = get(&farm, "/readyz", false);
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
}

#[test]
fn a_process_that_drains_lives_and_is_not_ready() {
    let farm = Farm::new();
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let backstop = farm.start();
    let mut client = farm.connect();
    client.write_all(b"x").expect("taken");
    client.read_exact(&mut [0]).expect("echoed");
    backstop.signal(Signal::TERM);
    wait_until("it should not be ready any more", || {
        get(&farm, "/readyz", false).status == 503
    });
    assert_eq!(get(&farm, "/readyz", false).body, "stopping\n");
    assert_eq!(get(&farm, "/healthz", false).status, 200);
    drop(client);
}

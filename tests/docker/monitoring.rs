//! The demo with Prometheus and Grafana. There is no Grafana to be had without a registry: what it
//! would read is compared with the rest, and a Prometheus asks what its dashboard asks.

use libtest_mimic::Trial;
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use crate::engine::trial;
use crate::harness::http;
use crate::harness::stats::Stats;
use crate::harness::wait::wait_until;
use crate::project::{Project, local};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [trial("demo::monitoring", monitoring)].into_iter()
}

const DASHBOARD: &str = include_str!("../../configs/monitoring/grafana-dashboard.json");

/// A stopped container does not refuse connections: that they are slow may be told too, or not.
const ALERTS: &str = r#"ALERTS{alertname!="BackstopServersSlowToConnect"}"#;

/// All services but Grafana, and what they depend on.
const SERVICES: [&str; 3] = ["backstop", "prometheus", "client"];

fn monitoring() {
    let project = Project::up_only("monitoring", &SERVICES);
    let stats = Stats::at(local(8718));
    wait_until("the stats page should answer", || stats.rows().is_ok());
    shows("haproxy_backend_active_servers", "2");
    stats.wait_for_check("nginx1");
    project.walk(|_, line| match line {
        "docker compose stop nginx-1 nginx-2" => {
            shows("haproxy_backend_active_servers", "0");
            // One rule of the three has two alerts.
            shows(&format!("count({ALERTS})"), "4");
        }
        "docker compose start nginx-1 nginx-2" => shows("haproxy_backend_active_servers", "2"),
        _ => {}
    });
    asks_what_the_dashboard_asks();
    project.is_healthy("backstop");
    project.stops("backstop");
}

/// What Prometheus answers to a query, as a list of series with a value each.
fn query(expression: &str) -> Vec<Value> {
    let encoded: String = byte_serialize(expression.as_bytes()).collect();
    let path = format!("/api/v1/query?query={encoded}");
    let Ok(response) = http::get(local(9098), &path, "") else {
        return Vec::new();
    };
    let answer: Value = serde_json::from_str(&response.body).expect("JSON");
    assert_eq!(answer["status"], "success", "{expression}: {answer}");
    answer["data"]["result"]
        .as_array()
        .cloned()
        .expect("a list")
}

/// Waits until a query gives one value, which is this one.
fn shows(expression: &str, value: &str) {
    wait_until(&format!("{expression} should be {value}"), || {
        let series = query(expression);
        series.len() == 1 && series[0]["value"][1] == value
    });
}

/// Every query of every panel is one that Prometheus takes, and has an answer for, if what it is
/// about has happened.
fn asks_what_the_dashboard_asks() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let mut expressions = Vec::new();
    collect(&dashboard, &mut expressions);
    assert!(expressions.len() > 20, "{expressions:?}");
    for expression in expressions {
        let asked = expression.replace("$job", ".*");
        assert!(!asked.contains('$'), "{asked}");
        let series = query(&asked);
        // Sessions that ended badly, by their codes: there may be none yet.
        let may_be_empty = asked.contains("termination!=");
        assert!(may_be_empty || !series.is_empty(), "{asked} has no answer");
    }
}

/// All texts that are called `expr` somewhere inside.
fn collect(value: &Value, expressions: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            expressions.extend(members.get("expr").and_then(Value::as_str).map(Into::into));
            members
                .values()
                .for_each(|member| collect(member, expressions));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, expressions)),
        _ => {}
    }
}

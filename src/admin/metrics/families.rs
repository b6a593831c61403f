//! Every metric, its help and where its values come from.
//!
//! - [`totals`]: what is counted, the same for frontends, backends and servers.
//! - [`others`]: what HAProxy does not have.

mod others;
mod totals;

use std::time::Instant;

use super::Kind::{Counter, Gauge};
use super::Value::{Real, Whole};
use super::{Family, Of, Value};
use crate::admin::health::Point;
use crate::topology::status::{ServerStatus, State};
use crate::topology::{Backend, Server};

/// All metrics.
pub(super) fn all() -> impl Iterator<Item = Family> {
    let more = PROCESS.iter().chain(PROXIES).chain(SERVERS);
    totals::all().chain(more.chain(others::OTHERS).copied())
}

const UP_DOWN: &[&str] = &["DOWN", "UP"];

/// What a check may have found, as `check_status` names it.
const FINDINGS: &[&str] = &[
    "INI", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP",
    "L7OK", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];

const fn gauge(name: &'static str, help: &'static str, of: Of) -> Family {
    let kind = Gauge;
    Family {
        name,
        help,
        kind,
        of,
    }
}

const fn counter(name: &'static str, help: &'static str, of: Of) -> Family {
    let kind = Counter;
    Family {
        name,
        help,
        kind,
        of,
    }
}

const PROCESS: &[Family] = &[
    gauge(
        "haproxy_process_nbthread",
        "Number of worker threads.",
        Of::Process(|running| Whole(running.workers() as u64)),
    ),
    gauge(
        "haproxy_process_uptime_seconds",
        "Time since the process began.",
        Of::Process(|running| Whole(running.topology.started.elapsed().as_secs())),
    ),
    gauge(
        "haproxy_process_start_time_seconds",
        "When the process began, in Unix time.",
        Of::Process(|running| Whole(running.began())),
    ),
    gauge(
        "haproxy_process_current_connections",
        "Sessions open now.",
        Of::Process(|running| Whole(running.sum(|counters| counters.open().into()))),
    ),
    gauge(
        "haproxy_process_max_connections",
        "The most sessions at once.",
        Of::Process(|running| Whole(running.topology.admission.maxconn().into())),
    ),
    gauge(
        "haproxy_process_hard_max_connections",
        "What the process's descriptors are enough for.",
        Of::Process(|running| Whole(running.topology.admission.hard_maxconn().into())),
    ),
    counter(
        "haproxy_process_connections",
        "Sessions accepted.",
        Of::Process(|running| Whole(running.sum(|c| c.total(|s| &s.sessions)))),
    ),
    gauge(
        "haproxy_process_current_session_rate",
        "Sessions accepted in the last second.",
        Of::Process(|running| Whole(running.sum(|counters| counters.rate().into()))),
    ),
    gauge(
        "haproxy_process_stopping",
        "Whether the process accepts no more sessions.",
        Of::Process(|running| flag(running.readiness.point() == Point::Stopping)),
    ),
];

const PROXIES: &[Family] = &[
    gauge(
        "haproxy_frontend_status",
        "Whether it accepts sessions.",
        Of::FrontendStates(
            UP_DOWN,
            |frontend| {
                if frontend.is_enabled() { "UP" } else { "DOWN" }
            },
        ),
    ),
    gauge(
        "haproxy_backend_status",
        "Whether it has a usable server.",
        Of::BackendStates(UP_DOWN, |backend| match backend.usable().nbsrv() {
            0 => "DOWN",
            _ => "UP",
        }),
    ),
    gauge(
        "haproxy_backend_weight",
        "The sum of the weights of the servers in use.",
        Of::Backends(weight),
    ),
    gauge(
        "haproxy_backend_active_servers",
        "Usable primaries.",
        Of::Backends(|backend, _| Whole(backend.usable().usable_primaries().into())),
    ),
    gauge(
        "haproxy_backend_backup_servers",
        "Usable backups.",
        Of::Backends(|backend, _| Whole(backend.usable().usable_backups().into())),
    ),
    gauge(
        "haproxy_backend_current_queue",
        "Sessions that wait for a server with room.",
        Of::Backends(|backend, _| Whole(backend.queue.len().into())),
    ),
    gauge(
        "haproxy_backend_max_queue",
        "The most sessions that waited at once.",
        Of::Backends(|backend, _| Whole(backend.queue.longest().into())),
    ),
    counter(
        "haproxy_backend_check_up_down",
        "How often it lost its last server.",
        Of::Backends(|backend, _| Whole(backend.history().downs)),
    ),
    gauge(
        "haproxy_backend_check_last_change_seconds",
        "Time since it lost its last server or got one.",
        Of::Backends(|backend, now| age(backend.history().since, now)),
    ),
    counter(
        "haproxy_backend_downtime_seconds",
        "Time without a server.",
        Of::Backends(downtime),
    ),
];

const SERVERS: &[Family] = &[
    gauge(
        "haproxy_server_status",
        "Whether it serves.",
        Of::ServerStates(&["DOWN", "UP", "MAINT", "DRAIN", "NOLB"], |server| {
            Some(state(&server.status()))
        }),
    ),
    gauge(
        "haproxy_server_weight",
        "Its share of sessions, 0 to 256.",
        Of::Servers(|server, _| Some(Whole(server.weight().into()))),
    ),
    gauge(
        "haproxy_server_active",
        "Whether it is a primary.",
        Of::Servers(|server, _| Some(flag(!server.config.backup))),
    ),
    gauge(
        "haproxy_server_backup",
        "Whether it is a backup.",
        Of::Servers(|server, _| Some(flag(server.config.backup))),
    ),
    gauge(
        "haproxy_server_current_queue",
        "Sessions that wait for this server alone: none, its backend has the queue.",
        Of::Servers(|_, _| Some(Whole(0))),
    ),
    gauge(
        "haproxy_server_limit_sessions",
        "The most sessions at once, where there is a limit.",
        Of::Servers(|server, _| match server.maxconn() {
            0 => None,
            most => Some(Whole(most.into())),
        }),
    ),
    gauge(
        "haproxy_server_check_status",
        "What its last check found.",
        Of::ServerStates(FINDINGS, finding),
    ),
    gauge(
        "haproxy_server_check_duration_seconds",
        "How long its last check took.",
        Of::Servers(|server, _| {
            let status = server.status();
            let last = status.last_check.as_ref();
            last.map(|last| Real(last.duration.as_secs_f64()))
        }),
    ),
    counter(
        "haproxy_server_check_failures",
        "Failed checks while it was up.",
        Of::Servers(|server, _| checked(server, |status| Whole(status.failed_checks))),
    ),
    counter(
        "haproxy_server_check_up_down",
        "How often it went down.",
        Of::Servers(|server, _| checked(server, |status| Whole(status.downs))),
    ),
    gauge(
        "haproxy_server_check_last_change_seconds",
        "Time since its state changed.",
        Of::Servers(|server, now| Some(age(server.status().since, now))),
    ),
    counter(
        "haproxy_server_downtime_seconds",
        "Time down.",
        Of::Servers(|server, now| {
            checked(server, |status| Real(status.downtime(now).as_secs_f64()))
        }),
    ),
];

fn flag(is: bool) -> Value {
    Whole(u64::from(is))
}

fn age(since: Instant, now: Instant) -> Value {
    Whole(now.saturating_duration_since(since).as_secs())
}

fn weight(backend: &Backend, _: Instant) -> Value {
    let usable = backend.usable();
    let in_use = usable.in_use().iter();
    Whole(in_use.map(|&s| u64::from(backend.server(s).weight())).sum())
}

fn downtime(backend: &Backend, now: Instant) -> Value {
    let history = backend.history();
    let current = match backend.usable().nbsrv() {
        0 => now.saturating_duration_since(history.since),
        _ => std::time::Duration::ZERO,
    };
    Real((history.past_downtime + current).as_secs_f64())
}

/// HAProxy has no state of its own for servers that are not checked.
fn state(status: &ServerStatus) -> &'static str {
    match status.state {
        State::Down => "DOWN",
        State::Maintenance => "MAINT",
        State::Drain => "DRAIN",
        State::Up | State::Unchecked if status.hold.is_some() => "NOLB",
        State::Up | State::Unchecked => "UP",
    }
}

fn finding(server: &Server) -> Option<&'static str> {
    let status = server.status();
    status.check?;
    let last = status.last_check.as_ref();
    Some(last.map_or("INI", |last| last.status.code()))
}

/// Of a server that is checked.
fn checked(server: &Server, value: impl FnOnce(&ServerStatus) -> Value) -> Option<Value> {
    let status = server.status();
    status.check.map(|_| value(&status))
}

//! The facts of one frontend, server or backend, the same for every format.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::counters::Counters;
use crate::health::judge::CheckHealth;
use crate::topology::guard::Refusal;
use crate::topology::status::{CheckReport, ServerStatus, State};
use crate::topology::usable::{Mode, UsableSet};
use crate::topology::{Backend, Frontend, Server, Topology};

/// The first proxy's number. HAProxy spends number 1 on the `defaults` section.
const FIRST_PROXY: u32 = 2;

/// One line of the statistics.
#[derive(Debug)]
pub struct Row<'a> {
    /// What the row is about.
    pub kind: Kind,
    /// The frontend's or backend's name.
    pub proxy: &'a str,
    /// `FRONTEND`, `BACKEND` or the server's name.
    pub name: &'a str,
    /// The frontend's or backend's number.
    pub proxy_number: u32,
    /// The server's number in its backend, from 1; 0 for the backend itself and for frontends.
    pub server_number: u32,
    /// The status in words.
    pub status: Cow<'static, str>,
    /// The status as a colour.
    pub standing: Standing,
    /// Everything counted.
    pub tally: Tally,
    /// The most sessions at once; `None` is no limit.
    pub limit: Option<u32>,
    /// Sessions that wait for a server with room.
    pub queue: Waiting,
    /// How long ago the last session began.
    pub last_session: Option<Duration>,
    /// What only backends and servers have.
    pub farm: Option<Farm>,
    /// How a backend chooses a server, in HAProxy's word.
    pub algorithm: Option<&'static str>,
    /// What only checked servers have.
    pub check: Option<Check>,
    /// Where it listens: a server's address, a frontend's binds.
    pub address: String,
}

/// Sessions that wait. Only backends have a queue.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Now.
    pub now: u32,
    /// At once, at most so far.
    pub longest: u32,
    /// At once, at most; `None` is no limit.
    pub limit: Option<u32>,
}

/// What a row is about, with HAProxy's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A frontend.
    Frontend = 0,
    /// A backend.
    Backend = 1,
    /// A server.
    Server = 2,
}

/// What the colour of a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Up, and the last check passed.
    Up,
    /// Up, but the last check failed.
    GoingDown,
    /// Down, but the last check passed.
    GoingUp,
    /// Down.
    Down,
    /// Taken as up without a check.
    Unchecked,
    /// Taken out by somebody.
    Maintenance,
    /// Up, but without new sessions: drained, on probation, or with a weight of 0.
    Drain,
}

/// What a backend and a server both have.
#[derive(Debug)]
pub struct Farm {
    /// A server's weight, or the sum over the servers in use.
    pub weight: u32,
    /// Usable primaries; for a server, whether it is a primary.
    pub active: u32,
    /// Usable backups; for a server, whether it is a backup.
    pub backup: u32,
    /// Whether new sessions go there now.
    pub in_use: bool,
    /// Changes from up to down; `None` without a check.
    pub downs: Option<u64>,
    /// How long ago its state changed.
    pub changed: Duration,
    /// All time spent down; `None` without a check.
    pub downtime: Option<Duration>,
}

/// What a checked server has.
#[derive(Debug)]
pub struct Check {
    /// Its counter and limits.
    pub health: CheckHealth,
    /// Failures while the server was up.
    pub failures: u64,
    /// The last finished check.
    pub last: Option<CheckReport>,
}

/// What [`Counters`] held at one moment.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "the same names as in `Counters`, its `Shard` and the configuration"
)]
pub struct Tally {
    pub open: u32,
    pub most_open: u32,
    pub rate: u32,
    pub highest_rate: u32,
    pub sessions: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub request_errors: u64,
    pub denied: u64,
    pub connect_errors: u64,
    pub response_errors: u64,
    pub retries: u64,
    pub redispatches: u64,
    pub balanced: u64,
    pub client_aborts: u64,
    pub server_aborts: u64,
    pub denied_connections: u64,
    pub denied_sessions: u64,
    pub rate_limit: u32,
}

impl<'a> Row<'a> {
    /// The row of a frontend.
    ///
    /// Without a limit of its own a frontend has that of the process, as in HAProxy.
    pub fn frontend(topology: &Topology, frontend: &'a Frontend) -> Self {
        let (status, standing) = if frontend.is_enabled() {
            ("OPEN", Standing::Up)
        } else {
            ("PAUSED", Standing::Maintenance)
        };
        Self {
            kind: Kind::Frontend,
            proxy: &frontend.config.name,
            name: "FRONTEND",
            proxy_number: FIRST_PROXY + frontend.id.0,
            server_number: 0,
            status: status.into(),
            standing,
            tally: Tally::of_frontend(frontend),
            limit: limit(frontend.maxconn()).or(Some(topology.admission.maxconn())),
            queue: Waiting::default(),
            last_session: None,
            farm: None,
            algorithm: None,
            check: None,
            address: joined(&frontend.config.bind),
        }
    }

    /// The row of a backend's total at `now`.
    pub fn backend(topology: &Topology, backend: &'a Backend, now: Instant) -> Self {
        let set = backend.usable();
        let used = set.mode() != Mode::Nothing;
        Self {
            kind: Kind::Backend,
            proxy: &backend.config.name,
            name: "BACKEND",
            proxy_number: backend_number(topology, backend),
            server_number: 0,
            status: if used { "UP" } else { "DOWN" }.into(),
            standing: if used { Standing::Up } else { Standing::Down },
            tally: Tally::of(&backend.counters),
            limit: None,
            queue: Waiting {
                now: backend.queue.len(),
                longest: backend.queue.longest(),
                limit: backend.config.maxqueue,
            },
            last_session: last_session(topology, &backend.counters, now),
            farm: Some(Farm::of_backend(backend, &set, now)),
            algorithm: Some(backend.config.balance.name()),
            check: None,
            address: String::new(),
        }
    }

    /// The row of a server of `backend` at `now`.
    pub fn server(
        topology: &Topology,
        backend: &'a Backend,
        server: &'a Server,
        now: Instant,
    ) -> Self {
        let in_use = backend
            .usable()
            .in_use()
            .binary_search(&server.id.position)
            .is_ok();
        let status = server.status();
        Self {
            kind: Kind::Server,
            proxy: &backend.config.name,
            name: &server.config.name,
            proxy_number: backend_number(topology, backend),
            server_number: server.id.position + 1,
            status: status.to_string().into(),
            standing: Standing::of(&status, status.weight_or(server.config.weight)),
            tally: Tally::of(&server.counters),
            limit: limit(server.maxconn()),
            queue: Waiting::default(),
            last_session: last_session(topology, &server.counters, now),
            farm: Some(Farm::of_server(server, &status, in_use, now)),
            algorithm: None,
            check: Check::of(&status),
            address: server_address(server),
        }
    }
}

impl Standing {
    /// HAProxy's rule (`src/stats-html.c`, "determine the style to use").
    pub fn of(status: &ServerStatus, weight: u16) -> Self {
        let health = status.check.map(|c| (c.health, c.rise + c.fall - 1));
        match (status.state, health) {
            (State::Maintenance, _) => Self::Maintenance,
            (State::Drain, _) => Self::Drain,
            (State::Down, Some((1.., _))) => Self::GoingUp,
            (State::Down, _) => Self::Down,
            (State::Unchecked, _) => Self::Unchecked,
            (State::Up, Some((health, full))) if health < full => Self::GoingDown,
            (State::Up, _) if weight == 0 || status.hold.is_some() => Self::Drain,
            (State::Up, _) => Self::Up,
        }
    }
}

impl Farm {
    fn of_backend(backend: &Backend, set: &UsableSet, now: Instant) -> Self {
        let history = backend.history();
        let changed = now.saturating_duration_since(history.since);
        let in_use = set.mode() != Mode::Nothing;
        let weight = |&position: &u32| u32::from(backend.server(position).weight());
        Self {
            weight: set.in_use().iter().map(weight).sum(),
            active: set.usable_primaries(),
            backup: set.usable_backups(),
            in_use,
            downs: Some(history.downs),
            changed,
            downtime: Some(if in_use {
                history.past_downtime
            } else {
                history.past_downtime + changed
            }),
        }
    }

    fn of_server(server: &Server, status: &ServerStatus, in_use: bool, now: Instant) -> Self {
        let checked = status.check.is_some();
        Self {
            weight: status.weight_or(server.config.weight).into(),
            active: u32::from(!server.config.backup),
            backup: u32::from(server.config.backup),
            in_use,
            downs: checked.then_some(status.downs),
            changed: now.saturating_duration_since(status.since),
            downtime: checked.then(|| status.downtime(now)),
        }
    }
}

impl Check {
    fn of(status: &ServerStatus) -> Option<Self> {
        status.check.map(|health| Self {
            health,
            failures: status.failed_checks,
            last: status.last_check.clone(),
        })
    }
}

impl Tally {
    fn of_frontend(frontend: &Frontend) -> Self {
        let refused = |why: [Refusal; 2]| why.map(|r| frontend.door.refusals.total(r)).iter().sum();
        Self {
            denied_connections: refused([Refusal::Address, Refusal::Rate]),
            denied_sessions: refused([Refusal::ToldAddress, Refusal::ToldRate]),
            rate_limit: frontend.config.clients.rate.unwrap_or(0),
            ..Self::of(&frontend.counters)
        }
    }

    /// What `counters` hold now.
    pub fn of(counters: &Counters) -> Self {
        Self {
            open: counters.open(),
            most_open: counters.most_open(),
            rate: counters.rate(),
            highest_rate: counters.highest_rate(),
            sessions: counters.total(|s| &s.sessions),
            bytes_in: counters.total(|s| &s.bytes_in),
            bytes_out: counters.total(|s| &s.bytes_out),
            request_errors: counters.total(|s| &s.request_errors),
            denied: counters.total(|s| &s.denied),
            connect_errors: counters.total(|s| &s.connect_errors),
            response_errors: counters.total(|s| &s.response_errors),
            retries: counters.total(|s| &s.retries),
            redispatches: counters.total(|s| &s.redispatches),
            balanced: counters.total(|s| &s.balanced),
            client_aborts: counters.total(|s| &s.client_aborts),
            server_aborts: counters.total(|s| &s.server_aborts),
            denied_connections: 0,
            denied_sessions: 0,
            rate_limit: 0,
        }
    }
}

/// 0 is no limit.
fn limit(most: u32) -> Option<u32> {
    (most > 0).then_some(most)
}

/// Whether `;up` leaves the server out: down, and not coming up.
pub fn is_hidden_by_up(server: &Server) -> bool {
    let status = server.status();
    status.state == State::Down && status.check.is_none_or(|check| check.health == 0)
}

/// Backends are numbered after all frontends.
pub fn backend_number(topology: &Topology, backend: &Backend) -> u32 {
    FIRST_PROXY + topology.frontends.len() as u32 + backend.id.0
}

fn last_session(topology: &Topology, counters: &Counters, now: Instant) -> Option<Duration> {
    let began = topology.started + Duration::from_secs(counters.last_session()?);
    Some(now.saturating_duration_since(began))
}

/// The resolved address; the configured one as long as it does not resolve.
fn server_address(server: &Server) -> String {
    match server.address() {
        Some(address) => address.to_string(),
        None => server.config.address.to_string(),
    }
}

fn joined(items: &[impl ToString]) -> String {
    let mut text = String::new();
    for item in items {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{}", item.to_string());
    }
    text
}

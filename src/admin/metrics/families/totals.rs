//! What is counted, the same for frontends, backends and servers.

use super::Family;
use crate::admin::metrics::{Kind, Of, Scope};
use crate::counters::{Counters, Shard, Total};

use Scope::{Backends, Frontends, Servers};

/// A counter: its name, its help, whose it is and the total that it shows.
type Count = (&'static str, &'static str, Scope, fn(&Shard) -> &Total);

/// A gauge: its name, its help, whose it is and the number that it shows.
type Level = (&'static str, &'static str, Scope, fn(&Counters) -> u32);

pub(super) fn all() -> impl Iterator<Item = Family> {
    let counts = COUNTS.iter().map(|&(name, help, scope, total)| Family {
        name,
        help,
        kind: Kind::Counter,
        of: Of::Totals(scope, total),
    });
    let levels = LEVELS.iter().map(|&(name, help, scope, level)| Family {
        name,
        help,
        kind: Kind::Gauge,
        of: Of::Levels(scope, level),
    });
    levels.chain(counts)
}

const OPEN: &str = "Sessions open now.";
const MOST: &str = "The most sessions open at once.";
const RATE: &str = "The most new sessions in one second.";
const SESSIONS: &str = "Sessions taken on.";
const IN: &str = "Bytes from clients.";
const OUT: &str = "Bytes to clients.";
const CONNECT: &str = "Sessions that could not be connected.";
const RESPONSE: &str = "Sessions that the server broke.";
const RETRIES: &str = "Further attempts to connect to the server that had failed.";
const REDISPATCHES: &str = "Sessions that left a failed server for another.";
const BALANCED: &str = "Sessions that balancing gave to it.";
const CLIENT: &str = "Sessions that the client broke.";
const HEDGES: &str = "Attempts to connect begun beside one that was slow.";
const WON: &str = "Such attempts that were faster and got the session.";

const LEVELS: &[Level] = &[
    (
        "haproxy_frontend_current_sessions",
        OPEN,
        Frontends,
        Counters::open,
    ),
    (
        "haproxy_frontend_max_sessions",
        MOST,
        Frontends,
        Counters::most_open,
    ),
    (
        "haproxy_frontend_max_session_rate",
        RATE,
        Frontends,
        Counters::highest_rate,
    ),
    (
        "haproxy_backend_current_sessions",
        OPEN,
        Backends,
        Counters::open,
    ),
    (
        "haproxy_backend_max_sessions",
        MOST,
        Backends,
        Counters::most_open,
    ),
    (
        "haproxy_backend_max_session_rate",
        RATE,
        Backends,
        Counters::highest_rate,
    ),
    (
        "haproxy_server_current_sessions",
        OPEN,
        Servers,
        Counters::open,
    ),
    (
        "haproxy_server_max_sessions",
        MOST,
        Servers,
        Counters::most_open,
    ),
    (
        "haproxy_server_max_session_rate",
        RATE,
        Servers,
        Counters::highest_rate,
    ),
];

#[rustfmt::skip]
const COUNTS: &[Count] = &[
    ("haproxy_frontend_sessions", SESSIONS, Frontends, |s| &s.sessions),
    ("haproxy_frontend_connections", SESSIONS, Frontends, |s| &s.sessions),
    ("haproxy_frontend_bytes_in", IN, Frontends, |s| &s.bytes_in),
    ("haproxy_frontend_bytes_out", OUT, Frontends, |s| &s.bytes_out),
    ("haproxy_frontend_requests_denied", "Sessions closed because a rule said so.", Frontends, |s| &s.denied),
    ("haproxy_frontend_request_errors", "Sessions that failed before a backend was chosen.", Frontends, |s| &s.request_errors),
    ("haproxy_backend_sessions", SESSIONS, Backends, |s| &s.sessions),
    ("haproxy_backend_bytes_in", IN, Backends, |s| &s.bytes_in),
    ("haproxy_backend_bytes_out", OUT, Backends, |s| &s.bytes_out),
    ("haproxy_backend_connection_errors", CONNECT, Backends, |s| &s.connect_errors),
    ("haproxy_backend_response_errors", RESPONSE, Backends, |s| &s.response_errors),
    ("haproxy_backend_retry_warnings", RETRIES, Backends, |s| &s.retries),
    ("haproxy_backend_redispatch_warnings", REDISPATCHES, Backends, |s| &s.redispatches),
    ("haproxy_backend_loadbalanced", BALANCED, Backends, |s| &s.balanced),
    ("haproxy_backend_client_aborts", CLIENT, Backends, |s| &s.client_aborts),
    ("haproxy_backend_server_aborts", RESPONSE, Backends, |s| &s.server_aborts),
    ("haproxy_server_sessions", SESSIONS, Servers, |s| &s.sessions),
    ("haproxy_server_bytes_in", IN, Servers, |s| &s.bytes_in),
    ("haproxy_server_bytes_out", OUT, Servers, |s| &s.bytes_out),
    ("haproxy_server_connection_errors", CONNECT, Servers, |s| &s.connect_errors),
    ("haproxy_server_response_errors", RESPONSE, Servers, |s| &s.response_errors),
    ("haproxy_server_retry_warnings", RETRIES, Servers, |s| &s.retries),
    ("haproxy_server_redispatch_warnings", REDISPATCHES, Servers, |s| &s.redispatches),
    ("haproxy_server_loadbalanced", BALANCED, Servers, |s| &s.balanced),
    ("haproxy_server_client_aborts", CLIENT, Servers, |s| &s.client_aborts),
    ("haproxy_server_server_aborts", RESPONSE, Servers, |s| &s.server_aborts),
    ("backstop_frontend_bytes_spliced", "Bytes that the kernel moved without copying.", Frontends, |s| &s.bytes_spliced),
    ("backstop_backend_hedges", HEDGES, Backends, |s| &s.hedges),
    ("backstop_backend_hedges_won", WON, Backends, |s| &s.hedges_won),
    ("backstop_server_hedges", HEDGES, Servers, |s| &s.hedges),
    ("backstop_server_hedges_won", WON, Servers, |s| &s.hedges_won),
];

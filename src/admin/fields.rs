//! HAProxy's statistics fields, in the order in which tools expect them.
//!
//! Names and order are those of `src/stats-proxy.c` (`stat_cols_px`) and management.txt, "CSV
//! format". Which kind of row has which field was read off the same source and compared with
//! what HAProxy 2.6 prints for TCP proxies. A field is empty where HAProxy leaves it empty
//! and where there is nothing to say: a limit that does not exist, a time that is not measured.

use std::time::Duration;

use super::row::{Check, Farm, Kind, Row, Tally};
use crate::topology::status::CheckReport;

/// One field of a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The field does not apply.
    Empty,
    /// Almost every field.
    Number(u64),
    /// `lastsess` of what never had a session.
    Never,
    /// A name or a description.
    Text(&'a str),
}

/// A field's name and where its value comes from.
pub type Field = (&'static str, for<'a> fn(&'a Row<'_>) -> Value<'a>);

use Value::{Empty, Never, Number, Text};

/// All fields.
pub const FIELDS: [Field; 83] = [
    ("pxname", |r| Text(r.proxy)),
    ("svname", |r| Text(r.name)),
    // A backend has one queue for all its servers, so a server's own is always empty.
    ("qcur", |r| waiting(r, r.queue.now)),
    ("qmax", |r| waiting(r, r.queue.longest)),
    ("scur", |r| Number(r.tally.open.into())),
    ("smax", |r| Number(r.tally.most_open.into())),
    ("slim", |r| limit(r.limit)),
    ("stot", |r| Number(r.tally.sessions)),
    ("bin", |r| Number(r.tally.bytes_in)),
    ("bout", |r| Number(r.tally.bytes_out)),
    ("dreq", |r| of_proxy(r, r.tally.denied)),
    ("dresp", |_| Number(0)),
    ("ereq", |r| of_frontend(r, |t| t.request_errors)),
    ("econ", |r| of_farm(r, |t| t.connect_errors)),
    ("eresp", |r| of_farm(r, |t| t.response_errors)),
    ("wretr", |r| of_farm(r, |t| t.retries)),
    ("wredis", |r| of_farm(r, |t| t.redispatches)),
    ("status", |r| Text(&r.status)),
    ("weight", |r| farm(r, |f| Some(f.weight.into()))),
    ("act", |r| farm(r, |f| Some(f.active.into()))),
    ("bck", |r| farm(r, |f| Some(f.backup.into()))),
    ("chkfail", |r| check(r, |c| Number(c.failures))),
    ("chkdown", |r| farm(r, |f| f.downs)),
    ("lastchg", |r| farm(r, |f| Some(f.changed.as_secs()))),
    ("downtime", |r| farm(r, |f| f.downtime.map(|d| d.as_secs()))),
    ("qlimit", |r| limit(r.queue.limit)),
    ("pid", |_| Number(1)),
    ("iid", |r| Number(r.proxy_number.into())),
    ("sid", |r| Number(r.server_number.into())),
    ("throttle", |_| Empty),
    ("lbtot", |r| of_farm(r, |t| t.balanced)),
    ("tracked", |_| Empty),
    ("type", |r| Number(r.kind as u64)),
    ("rate", |r| Number(r.tally.rate.into())),
    // 0 is "no limit".
    ("rate_lim", |r| of_frontend(r, |t| t.rate_limit.into())),
    ("rate_max", |r| Number(r.tally.highest_rate.into())),
    ("check_status", |r| check(r, |c| Text(last_status(c)))),
    ("check_code", |r| {
        report(r, |l| l.code.map_or(Empty, |code| Number(code.into())))
    }),
    ("check_duration", |r| {
        report(r, |l| Number(l.duration.as_millis() as u64))
    }),
    ("hrsp_1xx", |_| Empty),
    ("hrsp_2xx", |_| Empty),
    ("hrsp_3xx", |_| Empty),
    ("hrsp_4xx", |_| Empty),
    ("hrsp_5xx", |_| Empty),
    ("hrsp_other", |_| Empty),
    ("hanafail", |_| Empty),
    ("req_rate", |r| of_frontend(r, |_| 0)),
    ("req_rate_max", |r| of_frontend(r, |_| 0)),
    ("req_tot", |r| of_frontend(r, |_| 0)),
    ("cli_abrt", |r| of_farm(r, |t| t.client_aborts)),
    ("srv_abrt", |r| of_farm(r, |t| t.server_aborts)),
    ("comp_in", |r| of_proxy(r, 0)),
    ("comp_out", |r| of_proxy(r, 0)),
    ("comp_byp", |r| of_proxy(r, 0)),
    ("comp_rsp", |r| of_proxy(r, 0)),
    ("lastsess", last_session),
    ("last_chk", |r| report(r, |l| some_text(&l.info))),
    ("last_agt", |_| Empty),
    ("qtime", |_| Empty),
    ("ctime", |_| Empty),
    ("rtime", |_| Empty),
    ("ttime", |_| Empty),
    ("agent_status", |_| Empty),
    ("agent_code", |_| Empty),
    ("agent_duration", |_| Empty),
    ("check_desc", |r| check(r, |c| Text(last_description(c)))),
    ("agent_desc", |_| Empty),
    ("check_rise", |r| check(r, |c| Number(c.health.rise.into()))),
    ("check_fall", |r| check(r, |c| Number(c.health.fall.into()))),
    ("check_health", |r| {
        check(r, |c| Number(c.health.health.into()))
    }),
    ("agent_rise", |_| Empty),
    ("agent_fall", |_| Empty),
    ("agent_health", |_| Empty),
    ("addr", |r| some_text(&r.address)),
    ("cookie", |_| Empty),
    ("mode", |_| Text("tcp")),
    ("algo", |r| r.algorithm.map_or(Empty, Text)),
    ("conn_rate", |r| of_frontend(r, |t| t.rate.into())),
    ("conn_rate_max", |r| {
        of_frontend(r, |t| t.highest_rate.into())
    }),
    ("conn_tot", |r| of_frontend(r, |t| t.sessions)),
    ("intercepted", |_| Empty),
    ("dcon", |r| of_frontend(r, |t| t.denied_connections)),
    ("dses", |r| of_frontend(r, |t| t.denied_sessions)),
];

/// The code of a checked server's last check.
pub fn last_status(check: &Check) -> &'static str {
    check.last.as_ref().map_or("INI", |last| last.status.code())
}

/// What the code of a checked server's last check means.
pub fn last_description(check: &Check) -> &'static str {
    check
        .last
        .as_ref()
        .map_or("Initializing", |last| last.status.description())
}

fn of_frontend(row: &Row<'_>, pick: fn(&Tally) -> u64) -> Value<'static> {
    match row.kind {
        Kind::Frontend => Number(pick(&row.tally)),
        Kind::Backend | Kind::Server => Empty,
    }
}

/// Of frontends and backends.
fn of_proxy(row: &Row<'_>, number: u64) -> Value<'static> {
    match row.kind {
        Kind::Frontend | Kind::Backend => Number(number),
        Kind::Server => Empty,
    }
}

/// Of backends and servers.
fn of_farm(row: &Row<'_>, pick: fn(&Tally) -> u64) -> Value<'static> {
    match row.kind {
        Kind::Frontend => Empty,
        Kind::Backend | Kind::Server => Number(pick(&row.tally)),
    }
}

fn waiting(row: &Row<'_>, sessions: u32) -> Value<'static> {
    match row.kind {
        Kind::Frontend => Empty,
        Kind::Backend | Kind::Server => Number(sessions.into()),
    }
}

fn limit(most: Option<u32>) -> Value<'static> {
    most.map_or(Empty, |most| Number(most.into()))
}

fn farm(row: &Row<'_>, pick: fn(&Farm) -> Option<u64>) -> Value<'static> {
    row.farm.as_ref().and_then(pick).map_or(Empty, Number)
}

fn check<'a>(row: &'a Row<'_>, pick: fn(&'a Check) -> Value<'a>) -> Value<'a> {
    row.check.as_ref().map_or(Empty, pick)
}

fn report<'a>(row: &'a Row<'_>, pick: fn(&'a CheckReport) -> Value<'a>) -> Value<'a> {
    row.check
        .as_ref()
        .and_then(|c| c.last.as_ref())
        .map_or(Empty, pick)
}

fn last_session<'a>(row: &'a Row<'_>) -> Value<'a> {
    match row.kind {
        Kind::Frontend => Empty,
        Kind::Backend | Kind::Server => {
            let seconds = row.last_session.as_ref().map(Duration::as_secs);
            seconds.map_or(Never, Number)
        }
    }
}

fn some_text(text: &str) -> Value<'_> {
    if text.is_empty() { Empty } else { Text(text) }
}

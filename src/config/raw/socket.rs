//! `socket` of frontends and backends.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::fields::{Fields, Item, Reader};
use crate::config::hints::Kind;
use crate::config::value::Fault;
use crate::sys::options::{ConnectOptions, ListenOptions, SocketOptions};

pub(super) fn listen(r: &mut Reader<'_>, item: Item<'_>) -> Option<ListenOptions> {
    let mut fields = r.table(item, Kind::ClientSocket)?;
    let backlog = fields.read("backlog", |item| r.number(item, 1..=1_000_000));
    let defer_accept = fields.read("defer_accept", |item| r.boolean(item)).given();
    let fastopen = fields.read("fastopen", |item| r.boolean(item)).given();
    let options = ListenOptions {
        defer_accept: defer_accept.unwrap_or(false),
        fastopen: fastopen.unwrap_or(false),
        backlog: backlog.given().map(|at| at.value as u32),
        both: both(r, &mut fields),
    };
    fields.finish(r);
    Some(options)
}

pub(super) fn connect(r: &mut Reader<'_>, item: Item<'_>) -> Option<ConnectOptions> {
    let mut fields = r.table(item, Kind::ServerSocket)?;
    let source = fields.read("source", |item| r.parsed(item, address));
    let options = ConnectOptions {
        source: source.given().map(|at| at.value),
        both: both(r, &mut fields),
    };
    fields.finish(r);
    Some(options)
}

fn both(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> SocketOptions {
    let keepalive = fields.read("keepalive", |item| r.duration(item)).given();
    let user_timeout = fields.read("user_timeout", |item| r.duration(item)).given();
    let busy_poll = fields.read("busy_poll_us", |item| r.number(item, 1..=1_000_000));
    let mark = fields.read("mark", |item| r.number(item, 0..=u64::from(u32::MAX)));
    let congestion = fields.read("congestion", |item| r.name(item)).given();
    SocketOptions {
        keepalive,
        user_timeout,
        congestion: congestion.map(|at| at.value),
        mark: mark.given().map(|at| at.value as u32),
        // Durations of the file are whole milliseconds, far more than this is used with.
        busy_poll: busy_poll.given().map(|at| Duration::from_micros(at.value)),
    }
}

fn address(text: &str) -> Result<IpAddr, Fault> {
    text.parse().map_err(|_| Fault {
        title: format!("{text:?} is no IP address"),
        help: Some("write one of this machine's, such as \"10.0.0.9\"".to_owned()),
        range: None,
    })
}

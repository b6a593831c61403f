//! `check = { … }`.

use std::net::IpAddr;
use std::time::Duration;

use super::policy::{PROXY_VERSIONS, SendProxy};
use crate::config::check::CheckKind;
use crate::config::fields::{Item, Reader};
use crate::config::hints::Kind;
use crate::config::value::{self, Fault};

pub(super) mod forms;
mod kinds;
mod steps;

/// What is given, to be completed from the backend and `[defaults]`.
#[derive(Default, Clone)]
pub(in crate::config) struct RawCheck {
    pub(in crate::config) interval: Option<Duration>,
    pub(in crate::config) fast_interval: Option<Duration>,
    pub(in crate::config) down_interval: Option<Duration>,
    pub(in crate::config) rise: Option<u32>,
    pub(in crate::config) fall: Option<u32>,
    pub(in crate::config) timeout: Option<Duration>,
    pub(in crate::config) port: Option<u16>,
    pub(in crate::config) host: Option<String>,
    pub(in crate::config) source: Option<IpAddr>,
    pub(in crate::config) send_proxy: Option<SendProxy>,
    /// The type with all its settings: they are taken from one table.
    pub(in crate::config) kind: Option<CheckKind>,
}

pub(super) fn check_settings(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawCheck> {
    let mut fields = r.table(item, Kind::Check)?;
    let mut duration = |key| fields.read(key, |item| r.duration(item)).given();
    let interval = duration("interval");
    let fast_interval = duration("fast_interval");
    let down_interval = duration("down_interval");
    let timeout = duration("timeout");
    // A limit keeps `rise + fall` from overflowing, far above what anyone waits for.
    let mut count = |key| fields.read(key, |item| r.number(item, 1..=1000)).given();
    let check = RawCheck {
        interval,
        fast_interval,
        down_interval,
        timeout,
        rise: count("rise").map(|at| at.value as u32),
        fall: count("fall").map(|at| at.value as u32),
        port: fields.read("port", |item| r.port(item)).given(),
        host: fields
            .read("address", |item| r.parsed(item, check_host))
            .given()
            .map(|at| at.value),
        source: fields
            .read("source", |item| r.parsed(item, forms::source))
            .given()
            .map(|at| at.value),
        send_proxy: fields
            .read("send_proxy", |item| r.choice(item, &PROXY_VERSIONS))
            .given(),
        kind: kinds::kind(r, &mut fields),
    };
    fields.finish(r);
    Some(check)
}

/// A host without a port, which has its own key.
pub(super) fn check_host(text: &str) -> Result<String, Fault> {
    match value::host(text) {
        Err(fault) => match value::server_address(text) {
            Ok(address) => Err(Fault {
                title: "the port of a check does not stand in its `address`".to_owned(),
                help: Some(format!(
                    "write `address = {:?}, port = {}`",
                    address.host, address.port
                )),
                range: None,
            }),
            Err(_) => Err(fault),
        },
        host => host,
    }
}

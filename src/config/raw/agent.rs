//! `agent = { … }` of a server.

use std::time::Duration;

use super::check::check_host;
use crate::config::AgentConfig;
use crate::config::fields::{Item, Reader};
use crate::config::hints::Kind;

/// Between two questions (configuration.txt, "agent-inter").
const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);

pub(super) fn agent(r: &mut Reader<'_>, item: Item<'_>) -> Option<AgentConfig> {
    let mut fields = r.table(item, Kind::Agent)?;
    let port = fields.require(r, "port", Reader::port).given();
    let host = fields
        .read("address", |item| r.parsed(item, check_host))
        .given();
    let send = fields.read("send", |item| r.any_text(item)).given();
    let interval = fields.read("interval", |item| r.duration(item)).given();
    fields.finish(r);
    Some(AgentConfig {
        port: port?,
        host: host.map(|at| at.value),
        send: send.map(|text| text.value),
        interval: interval.unwrap_or(DEFAULT_INTERVAL),
    })
}

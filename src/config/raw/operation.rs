//! `[events]` and `[api]`.

use std::path::PathBuf;

use toml::de::DeValue;

use crate::config::fields::{Item, Reader};
use crate::config::hints::Kind;
use crate::config::operation::{ApiConfig, EventsConfig, Level};
use crate::config::value;

const LEVELS: [(&str, Level); 3] = [
    ("user", Level::User),
    ("operator", Level::Operator),
    ("admin", Level::Admin),
];

/// Most events that may be kept: about 100 MB.
const MOST_EVENTS: u64 = 100_000;

/// For the owner alone.
const DEFAULT_MODE: u32 = 0o600;

pub(super) fn events(r: &mut Reader<'_>, item: Item<'_>) -> Option<EventsConfig> {
    let mut fields = r.table(item, Kind::Events)?;
    let size = fields
        .read("size", |item| r.number(item, 1..=MOST_EVENTS))
        .given();
    let file = fields.read("file", |item| r.text(item)).given();
    fields.finish(r);
    Some(EventsConfig {
        size: size.map_or(EventsConfig::default().size, |size| size.value as usize),
        file: file.map(|file| PathBuf::from(file.value)),
    })
}

pub(super) fn api(r: &mut Reader<'_>, item: Item<'_>) -> Option<ApiConfig> {
    let mut fields = r.table(item, Kind::Api)?;
    let socket = fields
        .require(r, "socket", |r, item| r.parsed(item, value::socket_path))
        .given();
    let mode = fields
        .read("mode", |item| r.parsed(item, value::file_mode))
        .given();
    let user = fields.read("user", |item| owner(r, item)).given();
    let group = fields.read("group", |item| owner(r, item)).given();
    let level = fields.read("level", |item| r.choice(item, &LEVELS)).given();
    fields.finish(r);
    Some(ApiConfig {
        socket: socket?.value,
        mode: mode.map_or(DEFAULT_MODE, |mode| mode.value),
        user,
        group,
        // As in HAProxy, where a socket that may change things must say so.
        level: level.unwrap_or(Level::Operator),
    })
}

/// A user or group, by name or by number.
pub(super) fn owner(r: &mut Reader<'_>, item: Item<'_>) -> Option<String> {
    match item.value {
        DeValue::Integer(_) => r
            .number(item, 0..=u64::from(u32::MAX - 1))
            .map(|number| number.value.to_string()),
        _ => r.text(item).map(|text| text.value),
    }
}

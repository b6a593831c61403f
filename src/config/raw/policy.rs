//! The settings of what failures and recoveries lead to, which `[defaults]`, backends and
//! servers have in common. The nearest one counts.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::clients::ProxyVersion;
use crate::config::fields::{At, Fields, Item, Reader, one_or_list};
use crate::config::hints::Kind;
use crate::config::policy::{
    Failback, FailoverPolicy, FlapDamping, Hedge, InitState, Observe, OnError, PreferredZone,
    ServerPolicy, ShutdownSessions, Silence,
};
use crate::config::report::Problem;

/// What `[defaults]` and backends may say of a backend.
#[derive(Default, Clone)]
pub(in crate::config) struct RawFailover {
    hedge: Option<Hedge>,
    failback: Option<Failback>,
    flap_damping: Option<RawDamping>,
    pub(in crate::config) min_up: Option<Vec<At<u32>>>,
    pub(in crate::config) prefer_zone: Option<RawZone>,
}

/// `prefer_zone`.
#[derive(Clone)]
pub(in crate::config) struct RawZone {
    pub(in crate::config) zone: At<String>,
    pub(in crate::config) min_up: Option<At<u32>>,
}

/// `flap_damping`, which a backend can turn off again.
#[derive(Clone, Copy)]
enum RawDamping {
    Off,
    On(FlapDamping),
}

/// What `[defaults]`, backends and servers may say of a server; with the places of the keys.
#[derive(Default, Clone)]
pub(in crate::config) struct RawPolicy {
    pub(in crate::config) init_state: Option<At<InitState>>,
    pub(in crate::config) slowstart: Option<At<Duration>>,
    pub(in crate::config) on_marked_down: Option<At<ShutdownSessions>>,
    on_marked_up: Option<bool>,
    pub(in crate::config) observe: Option<At<bool>>,
    pub(in crate::config) error_limit: Option<At<u32>>,
    pub(in crate::config) on_error: Option<At<OnError>>,
    pub(in crate::config) silence: Option<At<Silence>>,
    send_proxy: Option<SendProxy>,
}

const INIT_STATES: [(&str, InitState); 5] = [
    ("known", InitState::Known),
    ("fully-up", InitState::FullyUp),
    ("up", InitState::Up),
    ("down", InitState::Down),
    ("fully-down", InitState::FullyDown),
];

const ON_ERROR: [(&str, OnError); 4] = [
    ("fail-check", OnError::FailCheck),
    ("sudden-death", OnError::SuddenDeath),
    ("mark-down", OnError::MarkDown),
    ("fast-interval", OnError::FastInterval),
];

/// `send_proxy`, which can be turned off again.
#[derive(Clone, Copy)]
pub(in crate::config) enum SendProxy {
    Off,
    On(ProxyVersion),
}

impl SendProxy {
    pub(in crate::config) fn version(self) -> Option<ProxyVersion> {
        match self {
            Self::Off => None,
            Self::On(version) => Some(version),
        }
    }
}

/// What `send_proxy` may be.
pub(super) const PROXY_VERSIONS: [(&str, SendProxy); 3] = [
    ("v1", SendProxy::On(ProxyVersion::V1)),
    ("v2", SendProxy::On(ProxyVersion::V2)),
    ("off", SendProxy::Off),
];

/// Failed connections in a row that count (configuration.txt, "error-limit").
const DEFAULT_ERROR_LIMIT: u32 = 10;

/// In what time without a failure a flap penalty halves, unless set.
const DEFAULT_HALF_LIFE: Duration = Duration::from_secs(600);

/// One silent session may be the client's fault; three in a row hardly are.
const DEFAULT_SILENT_SESSIONS: u32 = 3;

pub(super) fn failover(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> RawFailover {
    RawFailover {
        hedge: fields.read("hedge", |item| hedge(r, item)).given(),
        failback: fields.read("failback", |item| failback(r, item)).given(),
        flap_damping: fields
            .read("flap_damping", |item| flap_damping(r, item))
            .given(),
        min_up: None,
        prefer_zone: None,
    }
}

/// What only a backend itself may say.
pub(super) fn tiers(r: &mut Reader<'_>, fields: &mut Fields<'_>, raw: &mut RawFailover) {
    raw.min_up = fields.read("min_up", |item| min_up(r, item)).given();
    raw.prefer_zone = fields
        .read("prefer_zone", |item| prefer_zone(r, item))
        .given();
}

pub(super) fn policy(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> RawPolicy {
    RawPolicy {
        init_state: keyed(fields, "init_state", |item| r.choice(item, &INIT_STATES)),
        slowstart: keyed(fields, "slowstart", |item| r.duration(item)),
        on_marked_down: keyed(fields, "on_marked_down", |item| shutdown(r, item)),
        on_marked_up: fields
            .read("on_marked_up", |item| {
                r.choice(item, &[("shutdown-backup-sessions", true)])
            })
            .given(),
        observe: keyed(fields, "observe", |item| {
            r.choice(item, &[("layer4", true)])
        }),
        error_limit: keyed(fields, "error_limit", |item| count(r, item)),
        on_error: keyed(fields, "on_error", |item| r.choice(item, &ON_ERROR)),
        silence: keyed(fields, "silence", |item| silence(r, item)),
        send_proxy: fields
            .read("send_proxy", |item| r.choice(item, &PROXY_VERSIONS))
            .given(),
    }
}

/// A value with the place of its key.
fn keyed<'t, T>(
    fields: &mut Fields<'t>,
    key: &'static str,
    read: impl FnOnce(Item<'t>) -> Option<T>,
) -> Option<At<T>> {
    let keyed = |item: Item<'t>| {
        let span = item.key_span;
        read(item).map(|value| At { value, span })
    };
    fields.read(key, keyed).given()
}

impl RawFailover {
    /// What is said here, or else in `[defaults]`.
    pub(in crate::config) fn complete(&self, defaults: &Self) -> FailoverPolicy {
        FailoverPolicy {
            hedge: self.hedge.or(defaults.hedge).unwrap_or_default(),
            failback: self.failback.or(defaults.failback).unwrap_or_default(),
            flap_damping: match self.flap_damping.or(defaults.flap_damping) {
                None | Some(RawDamping::Off) => None,
                Some(RawDamping::On(damping)) => Some(damping),
            },
            min_up: self.min_up.iter().flatten().map(|at| at.value).collect(),
            prefer_zone: self.prefer_zone.as_ref().map(|raw| PreferredZone {
                zone: raw.zone.value.clone(),
                min_up: raw.min_up.as_ref().map_or(1, |at| at.value),
            }),
        }
    }
}

impl RawPolicy {
    /// What is said on the nearest of `levels`, the nearest first.
    pub(in crate::config) fn complete(levels: [&Self; 3]) -> ServerPolicy {
        fn nearest<T: Copy>(
            levels: [&RawPolicy; 3],
            of: impl Fn(&RawPolicy) -> Option<&At<T>>,
        ) -> Option<T> {
            let mut given = levels.into_iter().filter_map(of);
            given.next().map(|at| at.value)
        }
        let observe = nearest(levels, |policy| policy.observe.as_ref()).map(|_| Observe {
            error_limit: nearest(levels, |p| p.error_limit.as_ref()).unwrap_or(DEFAULT_ERROR_LIMIT),
            on_error: nearest(levels, |p| p.on_error.as_ref()).unwrap_or(OnError::FailCheck),
        });
        let on_marked_up = levels.into_iter().find_map(|policy| policy.on_marked_up);
        ServerPolicy {
            init_state: nearest(levels, |p| p.init_state.as_ref()).unwrap_or_default(),
            slowstart: nearest(levels, |policy| policy.slowstart.as_ref()),
            on_marked_down: nearest(levels, |policy| policy.on_marked_down.as_ref()),
            on_marked_up: on_marked_up.unwrap_or_default(),
            observe,
            silence: nearest(levels, |policy| policy.silence.as_ref()),
            send_proxy: levels
                .into_iter()
                .find_map(|policy| policy.send_proxy)
                .and_then(SendProxy::version),
        }
    }
}

fn count(r: &mut Reader<'_>, item: Item<'_>) -> Option<u32> {
    counted(r, item).map(|count| count.value)
}

fn counted(r: &mut Reader<'_>, item: Item<'_>) -> Option<At<u32>> {
    r.number(item, 1..=1_000_000).map(|count| At {
        value: count.value as u32,
        span: count.span,
    })
}

fn hedge(r: &mut Reader<'_>, item: Item<'_>) -> Option<Hedge> {
    match item.value {
        DeValue::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
            r.duration(item).map(Hedge::After)
        }
        DeValue::Integer(_) | DeValue::Float(_) => r.duration(item).map(Hedge::After),
        _ => {
            let words = [("auto", Hedge::Auto), ("off", Hedge::Off)];
            r.choice_or(item, &words, " or a duration such as \"50ms\"")
        }
    }
}

fn failback(r: &mut Reader<'_>, item: Item<'_>) -> Option<Failback> {
    if let DeValue::String(_) = item.value {
        let words = [("at-once", Failback::AtOnce), ("manual", Failback::Manual)];
        return r.choice_or(item, &words, " or a table such as `{ delay = \"30s\" }`");
    }
    let mut fields = r.table(item, Kind::Failback)?;
    let delay = fields.require(r, "delay", Reader::duration).given();
    fields.finish(r);
    delay.map(Failback::Delay)
}

fn flap_damping(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawDamping> {
    if let DeValue::Boolean(false) = item.value {
        return Some(RawDamping::Off);
    }
    let mut fields = r.table(item, Kind::FlapDamping)?;
    let penalty = fields.require(r, "penalty", Reader::duration).given();
    let max = fields.read("max", |item| r.duration(item)).given();
    let half_life = fields.read("half_life", |item| r.duration(item)).given();
    fields.finish(r);
    let penalty = penalty?;
    let max = max.unwrap_or(penalty.saturating_mul(32));
    let half_life = half_life.unwrap_or(DEFAULT_HALF_LIFE);
    Some(RawDamping::On(FlapDamping {
        penalty,
        max,
        half_life,
    }))
}

/// A number for tier 0, or a list that begins with it.
fn min_up(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<At<u32>>> {
    let items = one_or_list(item).into_iter();
    items.map(|item| counted(r, item)).collect()
}

fn prefer_zone(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawZone> {
    if let DeValue::String(_) = item.value {
        return r.name(item).map(|zone| RawZone { zone, min_up: None });
    }
    let mut fields = r.table(item, Kind::PreferZone)?;
    let zone = fields.require(r, "zone", Reader::name).given();
    let min_up = fields.read("min_up", |item| counted(r, item)).given();
    fields.finish(r);
    Some(RawZone {
        zone: zone?,
        min_up,
    })
}

fn shutdown(r: &mut Reader<'_>, item: Item<'_>) -> Option<ShutdownSessions> {
    let at_once = ShutdownSessions {
        after: Duration::ZERO,
        rate: None,
    };
    if let DeValue::String(_) = item.value {
        return r.choice(item, &[("shutdown-sessions", at_once)]);
    }
    let mut fields = r.table(item, Kind::ShutdownSessions)?;
    let after = fields
        .read("after", |item| r.duration_or_zero(item))
        .given();
    let rate = fields.read("rate", |item| count(r, item)).given();
    let span = fields.span;
    fields.finish(r);
    if after.is_none() && rate.is_none() {
        let problem = Problem::error("`on_marked_down` says neither when nor how fast").at(span);
        r.problems
            .push(problem.help("write \"shutdown-sessions\", or a table with `after` or `rate`"));
        return None;
    }
    Some(ShutdownSessions {
        after: after.map_or(Duration::ZERO, |after| after.value),
        rate,
    })
}

fn silence(r: &mut Reader<'_>, item: Item<'_>) -> Option<Silence> {
    let mut fields = r.table(item, Kind::Silence)?;
    let after = fields.require(r, "after", Reader::duration).given();
    let sessions = fields.read("sessions", |item| count(r, item)).given();
    fields.finish(r);
    Some(Silence {
        after: after?,
        sessions: sessions.unwrap_or(DEFAULT_SILENT_SESSIONS),
    })
}

//! The settings of what failures and recoveries lead to, which `[defaults]`, backends and
//! servers have in common. The nearest one counts.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::fields::{Fields, Item, Reader, one_or_list};
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
    min_up: Option<Vec<u32>>,
    prefer_zone: Option<PreferredZone>,
}

/// `flap_damping`, which a backend can turn off again.
#[derive(Clone, Copy)]
enum RawDamping {
    Off,
    On(FlapDamping),
}

/// What `[defaults]`, backends and servers may say of a server.
#[derive(Default, Clone)]
pub(in crate::config) struct RawPolicy {
    init_state: Option<InitState>,
    slowstart: Option<Duration>,
    on_marked_down: Option<ShutdownSessions>,
    on_marked_up: Option<bool>,
    observe: Option<bool>,
    error_limit: Option<u32>,
    on_error: Option<OnError>,
    silence: Option<Silence>,
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
        init_state: fields
            .read("init_state", |item| r.choice(item, &INIT_STATES))
            .given(),
        slowstart: fields.read("slowstart", |item| r.duration(item)).given(),
        on_marked_down: fields
            .read("on_marked_down", |item| shutdown(r, item))
            .given(),
        on_marked_up: fields
            .read("on_marked_up", |item| {
                r.choice(item, &[("shutdown-backup-sessions", true)])
            })
            .given(),
        observe: fields
            .read("observe", |item| r.choice(item, &[("layer4", true)]))
            .given(),
        error_limit: fields.read("error_limit", |item| count(r, item)).given(),
        on_error: fields
            .read("on_error", |item| r.choice(item, &ON_ERROR))
            .given(),
        silence: fields.read("silence", |item| silence(r, item)).given(),
    }
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
            min_up: self.min_up.clone().unwrap_or_default(),
            prefer_zone: self.prefer_zone.clone(),
        }
    }
}

impl RawPolicy {
    /// What is said on the nearest of `levels`, the nearest first.
    pub(in crate::config) fn complete(levels: [&Self; 3]) -> ServerPolicy {
        fn nearest<T: Copy>(
            levels: [&RawPolicy; 3],
            of: impl Fn(&RawPolicy) -> Option<T>,
        ) -> Option<T> {
            levels.into_iter().find_map(of)
        }
        let observe = nearest(levels, |policy| policy.observe).map(|_| Observe {
            error_limit: nearest(levels, |p| p.error_limit).unwrap_or(DEFAULT_ERROR_LIMIT),
            on_error: nearest(levels, |p| p.on_error).unwrap_or(OnError::FailCheck),
        });
        ServerPolicy {
            init_state: nearest(levels, |policy| policy.init_state).unwrap_or_default(),
            slowstart: nearest(levels, |policy| policy.slowstart),
            on_marked_down: nearest(levels, |policy| policy.on_marked_down),
            on_marked_up: nearest(levels, |policy| policy.on_marked_up).unwrap_or_default(),
            observe,
            silence: nearest(levels, |policy| policy.silence),
        }
    }
}

fn count(r: &mut Reader<'_>, item: Item<'_>) -> Option<u32> {
    r.number(item, 1..=1_000_000)
        .map(|count| count.value as u32)
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
        let words = [("at-once", Failback::AtOnce)];
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

/// One number for every tier, or a list that begins with tier 0.
fn min_up(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<u32>> {
    one_or_list(item)
        .into_iter()
        .map(|item| count(r, item))
        .collect()
}

fn prefer_zone(r: &mut Reader<'_>, item: Item<'_>) -> Option<PreferredZone> {
    if let DeValue::String(_) = item.value {
        return r.name(item).map(|zone| PreferredZone {
            zone: zone.value,
            min_up: 1,
        });
    }
    let mut fields = r.table(item, Kind::PreferZone)?;
    let zone = fields.require(r, "zone", Reader::name).given();
    let min_up = fields.read("min_up", |item| count(r, item)).given();
    fields.finish(r);
    Some(PreferredZone {
        zone: zone?.value,
        min_up: min_up.unwrap_or(1),
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

//! How the values of a file go together: names are looked up, defaults filled in, and what
//! contradicts itself is recorded.

mod acls;
mod backends;
mod binds;
mod failover;
mod frontends;
mod names;
mod tracks;

use std::time::Duration;

use self::names::Index;
use super::fields::Field;
use super::raw::{RawConfig, RawStats};
use super::report::Problem;
use super::{Config, StatsConfig};

/// How long sessions may go on after a stop signal unless the file says otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// The configuration, or `None` if a part of it is missing, about which `problems` tells.
pub(super) fn config(raw: &RawConfig, problems: &mut Vec<Problem>) -> Option<Config> {
    let index = Index::new(raw);
    let none = match &raw.frontends {
        Field::Absent => true,
        Field::Given(frontends) => frontends.is_empty(),
        Field::Broken => false,
    };
    if none {
        let problem = Problem::error("there is no frontend, so nothing would be listened on");
        let help =
            "add `[frontends.NAME]` with `bind = \"0.0.0.0:81\"` and `default_backend = \"…\"`";
        problems.push(problem.help(help));
    }
    binds::check(raw, problems);
    let frontends = frontends::build(raw, &index, problems);
    let backends = backends::build(raw, &index, problems);
    Some(Config {
        threads: raw.threads,
        pin_threads: raw.pin_threads.unwrap_or(false),
        grace: raw.grace.unwrap_or(DEFAULT_GRACE),
        spread_checks: raw.spread_checks.unwrap_or(0),
        log: raw.log,
        frontends: frontends?,
        backends: backends?,
        stats: raw.stats.as_ref().map(stats),
        events: raw.events.clone().unwrap_or_default(),
        api: raw.api.clone(),
        state: raw.state.clone(),
    })
}

fn stats(raw: &RawStats) -> StatsConfig {
    StatsConfig {
        bind: raw.bind.iter().map(|bind| bind.value).collect(),
        uri: raw.uri.clone().unwrap_or_else(|| "/".to_owned()),
        realm: raw
            .realm
            .clone()
            .unwrap_or_else(|| "HAProxy Statistics".to_owned()),
        auth: raw.auth.clone(),
        refresh: raw.refresh,
    }
}

//! How the values of a file go together: names are looked up, defaults filled in, and what
//! contradicts itself is recorded.

mod acls;
mod backends;
mod binds;
mod failover;
mod frontends;
mod hooks;
mod names;
mod stats;
mod tracks;

use std::time::Duration;

use self::names::Index;
use super::Config;
use super::fields::Field;
use super::raw::RawConfig;
use super::report::Problem;

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
    let stats = raw.stats.as_ref().map(|raw| stats::build(raw, problems));
    let hooks = hooks::build(raw, &index, problems);
    Some(Config {
        threads: raw.threads,
        maxconn: raw.maxconn,
        pin_threads: raw.pin_threads.unwrap_or(false),
        grace: raw.grace.unwrap_or(DEFAULT_GRACE),
        reload_on_change: raw.reload_on_change.unwrap_or(false),
        spread_checks: raw.spread_checks.unwrap_or(0),
        log: raw.log.clone(),
        frontends: frontends?,
        backends: backends?,
        stats,
        events: raw.events.clone().unwrap_or_default(),
        api: raw.api.clone(),
        privileges: raw.privileges.clone(),
        upgrade_socket: raw.upgrade_socket.clone(),
        state: raw.state.clone(),
        hooks: hooks?,
    })
}

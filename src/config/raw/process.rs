//! Keys at the top of the file that are about the process: what it may do, what outlives it.

use std::path::PathBuf;
use std::time::Duration;

use super::operation::owner;
use crate::config::fields::{Fields, Item, Reader, one_or_list};
use crate::config::operation::{Capability, PrivilegesConfig, StateConfig};
use crate::config::report::Problem;
use crate::config::value;

/// Long enough for a machine that is repaired, short enough that somebody still knows why a
/// server is in maintenance.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

const CAPABILITIES: [(&str, Capability); 2] = [
    ("cap_net_bind_service", Capability::NetBindService),
    ("cap_net_admin", Capability::NetAdmin),
];

/// `user` and what else is said of what the process may do.
pub(super) fn privileges(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> PrivilegesConfig {
    let user = fields.read("user", |item| owner(r, item)).given();
    let group = fields.read("group", |item| owner(r, item)).given();
    let setcap = fields
        .read("setcap", |item| Some(capabilities(r, item)))
        .given();
    let setuid = fields
        .read("insecure_setuid_wanted", |item| r.boolean(item))
        .given();
    let landlock = fields.read("landlock", |item| r.boolean(item)).given();
    if let (Some(true), Some(true), Some(place)) = (setuid, landlock, fields.place("landlock")) {
        let title = "`landlock` cannot be had with `insecure_setuid_wanted`";
        let help = "remove one of them: a program with more rights could not be confined";
        r.problems.push(Problem::error(title).at(place).help(help));
    }
    PrivilegesConfig {
        user,
        group,
        setcap: setcap.unwrap_or_default(),
        insecure_setuid_wanted: setuid.unwrap_or(false),
        landlock: landlock.unwrap_or(false),
    }
}

fn capabilities(r: &mut Reader<'_>, item: Item<'_>) -> Vec<Capability> {
    let items = one_or_list(item).into_iter();
    items
        .filter_map(|item| r.choice(item, &CAPABILITIES))
        .collect()
}

/// `upgrade_socket`.
pub(super) fn upgrade_socket(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<PathBuf> {
    let path = fields
        .read("upgrade_socket", |item| r.parsed(item, value::socket_path))
        .given();
    path.map(|path| path.value)
}

/// `state_file` and `state_max_age`.
pub(super) fn state(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<StateConfig> {
    let file = fields.read_or_misspelt("state_file", |item| r.text(item));
    let max_age = fields
        .read("state_max_age", |item| r.duration(item))
        .given();
    if file.is_absent()
        && let Some(place) = fields.place("state_max_age")
    {
        let problem = Problem::error("`state_max_age` has no `state_file`").at(place);
        r.problems
            .push(problem.help("add `state_file = \"/var/lib/backstop/state.json\"`"));
    }
    Some(StateConfig {
        file: PathBuf::from(file.given()?.value),
        max_age: max_age.unwrap_or(DEFAULT_MAX_AGE),
    })
}

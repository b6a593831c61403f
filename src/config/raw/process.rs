//! Keys at the top of the file that are about the process: what outlives it.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::fields::{Fields, Reader};
use crate::config::operation::StateConfig;
use crate::config::report::Problem;

/// Long enough for a machine that is repaired, short enough that somebody still knows why a
/// server is in maintenance.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

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

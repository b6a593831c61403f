//! Doubtful conditions: thresholds that mislead or that nothing can reach.

use std::collections::HashSet;

use crate::acl::parse::{Expression, Name};
use crate::acl::{Comparison, SampleKind};
use crate::config::fields::Text;
use crate::config::raw::{RawCondition, RawFrontend};
use crate::config::report::Problem;
use crate::config::{BackendConfig, Config};

/// What the conditions of a frontend name.
#[derive(Default)]
pub(super) struct Used<'c> {
    pub(super) acls: HashSet<&'c str>,
}

/// Every condition written in the frontend, each once.
fn conditions(raw: &RawFrontend) -> impl Iterator<Item = &RawCondition> {
    let acls = raw.acls.iter().filter_map(|acl| acl.condition.as_ref());
    let rules = raw.rules.as_ref().given().into_iter().flatten();
    let rules = rules.flat_map(|rule| [&rule.when, &rule.unless, &rule.until]);
    acls.chain(rules.filter_map(|field| field.as_ref().given()))
}

/// Calls `visit` with every test of the expression.
fn tests<'e>(expression: &'e Expression, visit: &mut dyn FnMut(&'e Expression)) {
    match expression {
        Expression::All(inner) | Expression::Any(inner) => {
            for inner in inner {
                tests(inner, visit);
            }
        }
        Expression::Not(inner) => tests(inner, visit),
        test => visit(test),
    }
}

/// The backends that the frontend's conditions look at.
pub(super) fn backends(raw: &RawFrontend) -> Vec<&str> {
    let mut names = Vec::new();
    for condition in conditions(raw) {
        tests(&condition.expression, &mut |test| match test {
            Expression::Compare(
                SampleKind::UsableServers | SampleKind::BackendSessions,
                name,
                ..,
            )
            | Expression::ServerIsUp { backend: name, .. } => names.push(name.text.as_str()),
            _ => {}
        });
    }
    names
}

pub(super) fn check<'c>(
    raw: &'c RawFrontend,
    config: &Config,
    warnings: &mut Vec<Problem>,
) -> Used<'c> {
    let farms: std::collections::HashMap<_, _> = config
        .backends
        .iter()
        .map(|b| (b.name.as_str(), b))
        .collect();
    let mut used = Used::default();
    for condition in conditions(raw) {
        tests(&condition.expression, &mut |test| match test {
            Expression::Named(name) => {
                used.acls.insert(&name.text);
            }
            Expression::Compare(kind, name, comparison, value, range) => {
                let farm = match kind {
                    SampleKind::UsableServers => farms.get(name.text.as_str()).copied(),
                    SampleKind::BackendSessions | SampleKind::FrontendSessions => None,
                };
                let compared = Compared {
                    text: &condition.text,
                    name,
                    comparison: *comparison,
                    value: *value,
                    range,
                };
                compared.check(*kind, farm, warnings);
            }
            _ => {}
        });
    }
    used
}

/// A comparison with a number and where it stands.
struct Compared<'e> {
    text: &'e Text,
    name: &'e Name,
    comparison: Comparison,
    value: u64,
    range: &'e std::ops::Range<usize>,
}

impl Compared<'_> {
    fn check(&self, kind: SampleKind, farm: Option<&BackendConfig>, warnings: &mut Vec<Problem>) {
        let most = farm.map_or(u64::MAX, most_usable);
        if let Some(outcome) = self.constant(most) {
            let sample = format!("{}({})", kind.keyword(), self.name.text);
            let title = format!(
                "`{sample} {} {}` is {outcome} true",
                self.comparison.keyword(),
                self.value
            );
            let problem = Problem::warning(title).at(self.text.part(self.range));
            warnings.push(match farm {
                Some(_) => problem
                    .label(format!("{sample} is between 0 and {most}"))
                    .help("compare with a number in between"),
                None => problem.help("no number of sessions is below 0"),
            });
        }
        if let Some(farm) = farm {
            self.backups_count(farm, warnings);
        }
    }

    /// Whether the comparison has one outcome for every number from 0 to `most`.
    fn constant(&self, most: u64) -> Option<&'static str> {
        let samples = [0, most, self.value.min(most)];
        let holds = |sample: &u64| self.comparison.holds(*sample, self.value);
        match samples.iter().filter(|sample| holds(sample)).count() {
            0 => Some("never"),
            3 => Some("always"),
            _ => None,
        }
    }

    fn backups_count(&self, farm: &BackendConfig, warnings: &mut Vec<Problem>) {
        let backups = farm.servers.iter().filter(|server| server.backup).count();
        if backups == 0 {
            return;
        }
        let counted = match (farm.allbackups, backups) {
            (true, 2..) => "as many as there are live backups".to_owned(),
            _ => "1 while a backup lives".to_owned(),
        };
        let title = format!("`nbsrv({})` counts backups too", farm.name);
        let problem = Problem::warning(title)
            .at(self.text.part(&self.name.range))
            .label(format!("without a live primary it is {counted}"));
        warnings.push(
            problem.help("put the backups into a backend of their own to count primaries only"),
        );
    }
}

/// The largest number that `nbsrv` can be: servers of weight 0 never count, and without
/// `allbackups` one backup counts at a time.
fn most_usable(farm: &BackendConfig) -> u64 {
    let count = |backup: bool| {
        let usable =
            |server: &&crate::config::ServerConfig| server.weight > 0 && server.backup == backup;
        farm.servers.iter().filter(usable).count() as u64
    };
    let at_once = if farm.allbackups { u64::MAX } else { 1 };
    count(true).min(at_once).max(count(false))
}

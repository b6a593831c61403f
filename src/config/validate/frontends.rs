//! Frontends and their rules.

use super::acls::Acls;
use super::names::Index;
use crate::acl::Condition;
use crate::config::fields::Field;
use crate::config::raw::{RawCondition, RawConfig, RawDefaults, RawFrontend, RawRule};
use crate::config::report::Problem;
use crate::config::{ClientTimeouts, FrontendConfig, RuleConfig};

pub(super) fn build(
    raw: &RawConfig,
    index: &Index<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Vec<FrontendConfig>> {
    let frontends: Vec<_> = raw
        .frontends()
        .iter()
        .map(|frontend| complete(frontend, &raw.defaults, index, problems))
        .collect();
    frontends.into_iter().collect()
}

fn complete(
    raw: &RawFrontend,
    defaults: &RawDefaults,
    index: &Index<'_>,
    problems: &mut Vec<Problem>,
) -> Option<FrontendConfig> {
    let mut acls = Acls::new(&raw.acls, index);
    acls.resolve_all(problems);
    let given = raw.rules.as_ref().given();
    let rules: Vec<_> = given
        .into_iter()
        .flatten()
        .map(|rule| build_rule(rule, index, &mut acls, problems))
        .collect();
    check_destination(raw, problems);
    let default_backend = match &raw.default_backend {
        Field::Given(name) => Some(index.backend(&name.value, name.span, problems)?),
        Field::Absent | Field::Broken => None,
    };
    Some(FrontendConfig {
        name: raw.name.value.clone(),
        bind: raw.bind.iter().map(|bind| bind.value).collect(),
        maxconn: raw.maxconn.or(defaults.maxconn),
        clients: raw.clients.clone(),
        accept_proxy: raw.accept_proxy.clone(),
        rules: rules.into_iter().collect::<Option<_>>()?,
        default_backend,
        timeout: ClientTimeouts {
            client: raw.timeout.client.or(defaults.client.client),
            client_fin: raw.timeout.client_fin.or(defaults.client.client_fin),
        },
        splice: raw.splice.or(defaults.splice).unwrap_or_default(),
        log_format: raw
            .log_format
            .clone()
            .or_else(|| defaults.log_format.clone()),
        socket: raw.socket.clone(),
    })
}

fn check_destination(raw: &RawFrontend, problems: &mut Vec<Problem>) {
    let no_rule = match &raw.rules {
        Field::Absent => true,
        Field::Given(rules) => rules.is_empty(),
        Field::Broken => false,
    };
    if no_rule && raw.default_backend.is_absent() {
        let title = format!("frontend `{}` sends its sessions nowhere", raw.name.value);
        let problem = Problem::error(title).at(raw.name.span);
        problems.push(problem.help("add `default_backend = \"NAME\"`"));
    }
}

fn build_rule(
    raw: &RawRule,
    index: &Index<'_>,
    acls: &mut Acls<'_>,
    problems: &mut Vec<Problem>,
) -> Option<RuleConfig> {
    let name = raw.backend.as_ref();
    let to = name.and_then(|name| index.backend(&name.value, name.span, problems));
    if let (Field::Given(when), Field::Given(unless)) = (&raw.when, &raw.unless) {
        let title = "a rule has `if` or `unless`, not both";
        let problem = Problem::error(title)
            .at(unless.text.span)
            .label("a second condition");
        let problem = problem.related(when.text.span, "the first condition");
        problems.push(problem.help("join them in one: `if = \"A and not (B)\"`"));
    }
    let when = condition(&raw.when, acls, problems);
    let unless = condition(&raw.unless, acls, problems);
    let until = condition(&raw.until, acls, problems);
    let (condition, text) = match (when, unless) {
        (Field::Broken, _) | (_, Field::Broken) => return None,
        (Field::Given((condition, text)), _) => (Some(condition), text),
        (Field::Absent, Field::Given((condition, text))) => {
            let not = Condition::Not(Box::new(condition));
            (Some(not), format!("not ({text})"))
        }
        (Field::Absent, Field::Absent) => (None, String::new()),
    };
    let until = until.given().map(|(until, _)| until);
    check_until(raw, condition.as_ref(), until.as_ref(), problems);
    Some(RuleConfig {
        backend: to?,
        condition,
        until,
        text,
    })
}

/// Whether a rule's `until` goes together with the condition that it ends.
fn check_until(
    raw: &RawRule,
    begins: Option<&Condition>,
    until: Option<&Condition>,
    problems: &mut Vec<Problem>,
) {
    let (Field::Given(raw), Some(until)) = (&raw.until, until) else {
        return;
    };
    let error = |title| Problem::error(title).at(raw.text.span);
    match begins {
        None => problems.push(
            error("a rule with `until` needs an `if` too")
                .help("`if` says when the rule begins to match, `until` when it ends"),
        ),
        Some(begins) if begins.is_about_servers() && until.is_about_servers() => {}
        Some(_) => problems.push(
            error("the conditions of a rule with `until` may only look at servers")
                .help("use `nbsrv(…)` and `srv_is_up(…)` only, in `if` as well"),
        ),
    }
}

/// A condition with its names looked up, and its text.
fn condition(
    field: &Field<RawCondition>,
    acls: &mut Acls<'_>,
    problems: &mut Vec<Problem>,
) -> Field<(Condition, String)> {
    match field {
        Field::Absent => Field::Absent,
        Field::Broken => Field::Broken,
        Field::Given(raw) => match acls.resolve(raw, problems) {
            None => Field::Broken,
            Some(condition) => Field::Given((condition, raw.text.value.clone())),
        },
    }
}

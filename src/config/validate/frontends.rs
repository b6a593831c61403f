//! Frontends and their rules.

use super::acls::Acls;
use super::names::Index;
use crate::acl::Condition;
use crate::config::fields::{At, Field};
use crate::config::raw::{RawCondition, RawConfig, RawFrontend, RawRule};
use crate::config::report::Problem;
use crate::config::{ClientTimeouts, FrontendConfig, RuleConfig};
use crate::id::BackendId;

pub(super) fn build(
    raw: &RawConfig,
    index: &Index<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Vec<FrontendConfig>> {
    let frontends: Vec<_> = raw
        .frontends
        .iter()
        .map(|frontend| complete(frontend, raw.defaults.client, index, problems))
        .collect();
    frontends.into_iter().collect()
}

fn complete(
    raw: &RawFrontend,
    defaults: ClientTimeouts,
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
        Field::Given(name) => Some(backend(name, index, problems)?),
        Field::Absent | Field::Broken => None,
    };
    Some(FrontendConfig {
        name: raw.name.value.clone(),
        bind: raw.bind.iter().map(|bind| bind.value).collect(),
        rules: rules.into_iter().collect::<Option<_>>()?,
        default_backend,
        timeout: ClientTimeouts {
            client: raw.timeout.client.or(defaults.client),
            client_fin: raw.timeout.client_fin.or(defaults.client_fin),
        },
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

fn backend(name: &At<String>, index: &Index<'_>, problems: &mut Vec<Problem>) -> Option<BackendId> {
    let found = index.backend(&name.value, name.span);
    found.map_err(|problem| problems.push(problem)).ok()
}

fn build_rule(
    raw: &RawRule,
    index: &Index<'_>,
    acls: &mut Acls<'_>,
    problems: &mut Vec<Problem>,
) -> Option<RuleConfig> {
    let to = raw
        .backend
        .as_ref()
        .and_then(|name| backend(name, index, problems));
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
    let (condition, text) = match (when?, unless?) {
        (Some((condition, text)), _) => (Some(condition), text),
        (None, Some((condition, text))) => (
            Some(Condition::Not(Box::new(condition))),
            format!("not ({text})"),
        ),
        (None, None) => (None, String::new()),
    };
    let until = condition_until(raw, condition.as_ref(), acls, problems)?;
    Some(RuleConfig {
        backend: to?,
        condition,
        until,
        text,
    })
}

/// The condition that ends a rule's hold; `Some(None)` if there is none.
fn condition_until(
    raw: &RawRule,
    begins: Option<&Condition>,
    acls: &mut Acls<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Option<Condition>> {
    let Some((until, _)) = condition(&raw.until, acls, problems)? else {
        return Some(None);
    };
    let span = match &raw.until {
        Field::Given(until) => until.text.span,
        Field::Absent | Field::Broken => raw.span,
    };
    let Some(begins) = begins else {
        let problem = Problem::error("a rule with `until` needs an `if` too").at(span);
        problems
            .push(problem.help("`if` says when the rule begins to match, `until` when it ends"));
        return None;
    };
    if !(begins.is_about_servers() && until.is_about_servers()) {
        let title = "the conditions of a rule with `until` may only look at servers";
        let problem = Problem::error(title).at(span);
        problems.push(problem.help("use `nbsrv(…)` and `srv_is_up(…)` only, in `if` as well"));
        return None;
    }
    Some(Some(until))
}

/// `None` if the condition is wrong, `Some(None)` if there is none.
fn condition(
    field: &Field<RawCondition>,
    acls: &mut Acls<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Option<(Condition, String)>> {
    match field {
        Field::Absent => Some(None),
        Field::Broken => None,
        Field::Given(raw) => {
            let condition = acls.resolve(raw, problems)?;
            Some(Some((condition, raw.text.value.clone())))
        }
    }
}

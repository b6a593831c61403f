//! What is legal but probably not what is wanted.

mod balance;
mod conditions;
mod failover;

use std::collections::HashSet;

use self::conditions::Used;
use super::fields::Field;
use super::raw::{RawBackend, RawConfig, RawFrontend};
use super::report::Problem;
use super::stats::Role;
use super::{BackendConfig, Config, FrontendConfig};
use crate::id::BackendId;

/// Everything doubtful in a valid configuration.
pub(super) fn warnings(raw: &RawConfig, config: &Config) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (raw, frontend) in raw.frontends().iter().zip(&config.frontends) {
        client_timeout(raw, frontend, &mut warnings);
        unreachable_rules(raw, &mut warnings);
        let used = conditions::check(raw, config, &mut warnings);
        unused_acls(raw, &used, &mut warnings);
    }
    failover::check(raw, config, &mut warnings);
    roles(raw, &mut warnings);
    let used = used_backends(raw, config);
    for (raw, backend) in raw.backends.iter().zip(&config.backends) {
        server_timeouts(raw, backend, &mut warnings);
        servers(raw, &mut warnings);
        balance::check(raw, backend, &mut warnings);
        if !used.contains(backend.name.as_str()) {
            warnings.push(unused_backend(raw));
        }
    }
    warnings
}

fn client_timeout(raw: &RawFrontend, frontend: &FrontendConfig, warnings: &mut Vec<Problem>) {
    if frontend.timeout.client.is_none() {
        let title = format!("frontend `{}` has no `timeout.client`", frontend.name);
        let problem = Problem::warning(title).at(raw.name.span);
        let problem = problem.label("a client that falls silent keeps its session for ever");
        problems_help(problem, "client = \"1m\"", warnings);
    }
}

fn problems_help(problem: Problem, example: &str, warnings: &mut Vec<Problem>) {
    warnings.push(problem.help(format!(
        "add `timeout = {{ {example} }}` here or in `[defaults]`"
    )));
}

fn server_timeouts(raw: &RawBackend, backend: &BackendConfig, warnings: &mut Vec<Problem>) {
    let (title, label, example) = match (backend.timeout.connect, backend.timeout.server) {
        (Some(_), Some(_)) => return,
        (None, Some(_)) => ("`timeout.connect`", NO_CONNECT, "connect = \"5s\""),
        (Some(_), None) => ("`timeout.server`", NO_SERVER, "server = \"1m\""),
        (None, None) => (
            "`timeout.connect` and no `timeout.server`",
            NO_CONNECT,
            "connect = \"5s\", server = \"1m\"",
        ),
    };
    let title = format!("backend `{}` has no {title}", backend.name);
    let problem = Problem::warning(title).at(raw.name.span).label(label);
    problems_help(problem, example, warnings);
}

const NO_CONNECT: &str = "a server that does not answer is waited for as long as the system does";
const NO_SERVER: &str = "a server that falls silent keeps its session for ever";

fn servers(raw: &RawBackend, warnings: &mut Vec<Problem>) {
    for server in &raw.servers {
        let template = server.slot.as_ref().map(|slot| &slot.template);
        let name = server.name.as_ref().map(|name| &name.value);
        let name = template.or(name).map_or("", String::as_str);
        if server.backup && server.check.is_none() && server.track.is_none() {
            let problem = Problem::warning(format!("backup `{name}` has no check"))
                .at(server.span)
                .label("it counts as up even when it is dead");
            warnings.push(problem.help("add `check = true`"));
        }
        if let Some(weight) = server.weight.as_ref().filter(|weight| weight.value == 0) {
            let problem = Problem::warning(format!("server `{name}` has weight 0"))
                .at(weight.span)
                .label("it gets no sessions");
            warnings.push(problem.help("remove `weight`, or write 1 to 256"));
        }
    }
    let checked = raw.servers.iter().any(|server| server.check.is_some());
    if let Some(check) = raw.check.as_ref().filter(|_| !checked) {
        let title = format!("no server of backend `{}` is checked", raw.name.value);
        let problem = Problem::warning(title)
            .at(check.span)
            .label("these settings are used by no server");
        warnings.push(problem.help("add `check = true` to the servers"));
    }
}

/// Roles that allow nothing.
fn roles(raw: &RawConfig, warnings: &mut Vec<Problem>) {
    let Some(stats) = raw.stats.as_ref().filter(|stats| {
        let admin = stats.admin.as_ref();
        !admin.is_some_and(|admin| admin.value)
    }) else {
        return;
    };
    for user in stats
        .users
        .iter()
        .filter(|user| user.role == Some(Role::Admin))
    {
        let problem = Problem::warning("this user may not change servers after all")
            .at(user.span)
            .label("`[stats]` does not say `admin = true`");
        warnings.push(problem.help("add `admin = true` to `[stats]`, or remove `role`"));
    }
}

fn unused_backend(raw: &RawBackend) -> Problem {
    let name = &raw.name.value;
    Problem::warning(format!("backend `{name}` is never used"))
        .at(raw.name.span)
        .label("no rule and no `default_backend` leads here")
        .help(format!(
            "name it in a frontend's `default_backend` or `use_backend`, or remove `[backends.{name}]`"
        ))
}

/// Backends that sessions or conditions look at.
fn used_backends<'c>(raw: &'c RawConfig, config: &'c Config) -> HashSet<&'c str> {
    let name = |id: BackendId| config.backends[id.index()].name.as_str();
    let frontends = config.frontends.iter();
    let targets = frontends.flat_map(|frontend| {
        let rules = frontend.rules.iter().map(|rule| rule.backend);
        rules.chain(frontend.default_backend).map(name)
    });
    let observed = raw.frontends().iter().flat_map(conditions::backends);
    targets.chain(observed).collect()
}

/// What follows a rule that always matches.
fn unreachable_rules(raw: &RawFrontend, warnings: &mut Vec<Problem>) {
    let Field::Given(rules) = &raw.rules else {
        return;
    };
    let always = |field: &Field<_>| field.is_absent();
    let Some(first) = rules
        .iter()
        .position(|r| always(&r.when) && always(&r.unless))
    else {
        return;
    };
    let matches_all = "this rule has no condition, so it takes every session";
    let help = "add an `if` to the first, or remove what comes after it";
    for rule in &rules[first + 1..] {
        let problem = Problem::warning("this rule is never reached").at(rule.span);
        warnings.push(problem.related(rules[first].span, matches_all).help(help));
    }
    if let Field::Given(default) = &raw.default_backend {
        let problem = Problem::warning("`default_backend` is never reached").at(default.span);
        warnings.push(problem.related(rules[first].span, matches_all).help(help));
    }
}

fn unused_acls(raw: &RawFrontend, used: &Used<'_>, warnings: &mut Vec<Problem>) {
    for acl in &raw.acls {
        let name = acl.name.value.as_str();
        if !used.acls.contains(name) {
            let problem = Problem::warning(format!("ACL `{name}` is never used"));
            let help = format!("name it in a rule, as in `if = \"{name}\"`, or remove it");
            warnings.push(problem.at(acl.name.span).help(help));
        }
    }
}

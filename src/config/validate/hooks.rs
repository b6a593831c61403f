//! Hooks: the names that they are for.

use super::names::Index;
use crate::config::fields::At;
use crate::config::hook::{EventFilter, HookConfig};
use crate::config::raw::{RawConfig, RawHook};
use crate::config::report::Problem;

pub(super) fn build(
    raw: &RawConfig,
    index: &Index<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Vec<HookConfig>> {
    let hooks: Vec<_> = raw
        .hooks
        .iter()
        .map(|hook| complete(hook, index, problems))
        .collect();
    hooks.into_iter().collect()
}

fn complete(raw: &RawHook, index: &Index<'_>, problems: &mut Vec<Problem>) -> Option<HookConfig> {
    for name in &raw.frontends {
        index.frontend(&name.value, name.span, problems);
    }
    for name in &raw.backends {
        index.backend(&name.value, name.span, problems);
    }
    for path in &raw.servers {
        server(path, index, problems);
    }
    let values = |names: &[At<String>]| names.iter().map(|name| name.value.clone()).collect();
    Some(HookConfig {
        name: raw.name.clone(),
        filter: EventFilter {
            kinds: raw.kinds.clone(),
            states: raw.states.clone(),
            frontends: values(&raw.frontends),
            backends: values(&raw.backends),
            servers: values(&raw.servers),
        },
        action: raw.action.clone()?,
        debounce: raw.debounce,
        timeout: raw.timeout,
        retries: raw.retries,
        concurrency: raw.concurrency,
        queue: raw.queue,
    })
}

fn server(path: &At<String>, index: &Index<'_>, problems: &mut Vec<Problem>) {
    let Some((backend, server)) = path.value.split_once('/') else {
        let title = format!("{:?} is no server", path.value);
        let problem = Problem::error(title).at(path.span);
        problems.push(problem.help("write \"BACKEND/SERVER\""));
        return;
    };
    if let Some(backend) = index.backend(backend, path.span, problems) {
        index.server(backend, server, path.span, problems);
    }
}

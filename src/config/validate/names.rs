//! Looking up names, with a suggestion when there is none of that name.

use std::collections::HashMap;

use crate::config::fields::At;
use crate::config::hints::closest;
use crate::config::raw::RawConfig;
use crate::config::report::{Problem, Span};
use crate::id::{BackendId, FrontendId, ServerId};

/// Every name of the file and what it stands for.
pub(super) struct Index<'c> {
    raw: &'c RawConfig,
    frontends: HashMap<&'c str, FrontendId>,
    backends: HashMap<&'c str, BackendId>,
    servers: Vec<HashMap<&'c str, u32>>,
}

impl<'c> Index<'c> {
    pub(super) fn new(raw: &'c RawConfig) -> Self {
        let frontends = raw.frontends.iter().map(|f| f.name.value.as_str());
        let backends = raw.backends.iter().map(|b| b.name.value.as_str());
        let servers = raw.backends.iter().map(|backend| {
            let named = backend.servers.iter().zip(0..);
            named
                .filter_map(|(server, id)| Some((server.name.as_ref()?.value.as_str(), id)))
                .collect()
        });
        Self {
            raw,
            frontends: frontends.zip((0..).map(FrontendId)).collect(),
            backends: backends.zip((0..).map(BackendId)).collect(),
            servers: servers.collect(),
        }
    }

    pub(super) fn backend(&self, name: &str, span: Span) -> Result<BackendId, Problem> {
        let candidates = self.raw.backends.iter().map(|b| b.name.value.as_str());
        let missing = || {
            unknown("backend", name, span, candidates)
                .unwrap_or_else(|problem| problem.help(format!("add `[backends.{name}]`")))
        };
        self.backends.get(name).copied().ok_or_else(missing)
    }

    pub(super) fn frontend(&self, name: &str, span: Span) -> Result<FrontendId, Problem> {
        let candidates = self.raw.frontends.iter().map(|f| f.name.value.as_str());
        let missing = || {
            unknown("frontend", name, span, candidates)
                .unwrap_or_else(|problem| problem.help(format!("add `[frontends.{name}]`")))
        };
        self.frontends.get(name).copied().ok_or_else(missing)
    }

    pub(super) fn server(
        &self,
        backend: BackendId,
        name: &str,
        span: Span,
    ) -> Result<ServerId, Problem> {
        let raw = &self.raw.backends[backend.index()];
        let known = |server: &'c crate::config::raw::RawServer| server.name.as_ref();
        let candidates = raw
            .servers
            .iter()
            .filter_map(known)
            .map(|n| n.value.as_str());
        let missing = || {
            let title = format!("server in backend `{}`", raw.name.value);
            unknown(&title, name, span, candidates)
                .unwrap_or_else(|problem| problem.help("name one of its `servers`"))
        };
        let position = self.servers[backend.index()].get(name).copied();
        position
            .map(|position| ServerId { backend, position })
            .ok_or_else(missing)
    }
}

/// The error for a name that nothing has: `Ok` with a suggestion, `Err` if none is near.
pub(super) fn unknown<'n>(
    what: &str,
    name: &str,
    span: Span,
    candidates: impl Iterator<Item = &'n str>,
) -> Result<Problem, Problem> {
    let (what, place) = match what.split_once(' ') {
        Some((what, place)) => (what, format!(" {place}")),
        None => (what, String::new()),
    };
    let problem = Problem::error(format!("there is no {what} `{name}`{place}")).at(span);
    match closest(name, candidates) {
        Some(near) => Ok(problem.help(format!("did you mean `{near}`?"))),
        None => Err(problem),
    }
}

/// Records each name that an earlier one has too.
pub(super) fn duplicates<'n>(
    what: &str,
    names: impl Iterator<Item = &'n At<String>>,
    problems: &mut Vec<Problem>,
) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for name in names {
        if let Some(first) = seen.get(name.value.as_str()) {
            let title = format!("two {what}s are called `{}`", name.value);
            let problem = Problem::error(title).at(name.span).label("used again here");
            let help = format!("give each {what} a name of its own");
            problems.push(problem.related(*first, "first used here").help(help));
        } else {
            seen.insert(&name.value, name.span);
        }
    }
}

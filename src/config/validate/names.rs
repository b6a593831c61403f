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
        let frontends = raw.frontends().iter().map(|f| f.name.value.as_str());
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

    pub(super) fn backend(
        &self,
        name: &str,
        span: Span,
        problems: &mut Vec<Problem>,
    ) -> Option<BackendId> {
        let known = self.raw.backends.iter().map(|b| b.name.value.as_str());
        let add = || format!("add `[backends.{name}]`");
        let found = self.backends.get(name).copied();
        if found.is_none() {
            let title = format!("there is no backend `{name}`");
            problems.push(unknown(title, name, span, known, add));
        }
        found
    }

    pub(super) fn frontend(
        &self,
        name: &str,
        span: Span,
        problems: &mut Vec<Problem>,
    ) -> Option<FrontendId> {
        let known = self.raw.frontends().iter().map(|f| f.name.value.as_str());
        let add = || format!("add `[frontends.{name}]`");
        let found = self.frontends.get(name).copied();
        if found.is_none() {
            let title = format!("there is no frontend `{name}`");
            problems.push(unknown(title, name, span, known, add));
        }
        found
    }

    pub(super) fn server(
        &self,
        backend: BackendId,
        name: &str,
        span: Span,
        problems: &mut Vec<Problem>,
    ) -> Option<ServerId> {
        let raw = &self.raw.backends[backend.index()];
        let known = raw.servers.iter().filter_map(|server| server.name.as_ref());
        let known = known.map(|name| name.value.as_str());
        let add = || "name one of its `servers`".to_owned();
        let position = self.servers[backend.index()].get(name).copied();
        if position.is_none() {
            let title = format!(
                "there is no server `{name}` in backend `{}`",
                raw.name.value
            );
            problems.push(unknown(title, name, span, known, add));
        }
        position.map(|position| ServerId { backend, position })
    }
}

/// The error for a name that nothing has, with the nearest one of `known`, or else with what
/// `otherwise` says.
pub(super) fn unknown<'n>(
    title: String,
    name: &str,
    span: Span,
    known: impl Iterator<Item = &'n str>,
    otherwise: impl FnOnce() -> String,
) -> Problem {
    let near = closest(name, known).map(|near| format!("did you mean `{near}`?"));
    Problem::error(title)
        .at(span)
        .help(near.unwrap_or_else(otherwise))
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

//! Servers that take over another server's verdict (`track`).

use std::collections::HashMap;

use super::names::Index;
use crate::config::raw::{RawConfig, RawServer};
use crate::config::report::{Problem, Span};
use crate::id::{BackendId, ServerId};

/// Who tracks whom, and where that is said.
type Tracks = HashMap<ServerId, (ServerId, Span)>;

/// Every server that tracks another one, with that other one. A chain is allowed, as in
/// HAProxy (configuration.txt, "track"), if it ends at a server with a check.
pub(super) fn resolve(
    raw: &RawConfig,
    index: &Index<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<(ServerId, ServerId)> {
    let mut tracks = Tracks::new();
    for (tracker, server) in servers(raw) {
        let Some(name) = &server.track else {
            continue;
        };
        if server.check.is_some() {
            let problem =
                Problem::error("a server that tracks another one has no check of its own");
            problems.push(problem.at(name.span).help("remove `check` or `track`"));
        }
        let target = match name.value.split_once('/') {
            Some((backend, server)) => index
                .backend(backend, name.span, problems)
                .and_then(|backend| index.server(backend, server, name.span, problems)),
            None => index.server(tracker.backend, &name.value, name.span, problems),
        };
        tracks.extend(target.map(|target| (tracker, (target, name.span))));
    }
    let mut trackers: Vec<_> = tracks.keys().copied().collect();
    trackers.sort_by_key(|id| (id.backend.index(), id.position));
    problems.extend(
        trackers
            .iter()
            .filter_map(|&tracker| wrong_end(tracker, &tracks, raw)),
    );
    let resolved = trackers
        .iter()
        .filter_map(|tracker| Some((*tracker, tracks.get(tracker)?.0)));
    resolved.collect()
}

fn servers(raw: &RawConfig) -> impl Iterator<Item = (ServerId, &RawServer)> {
    raw.backends
        .iter()
        .zip((0..).map(BackendId))
        .flat_map(|(backend, id)| {
            backend
                .servers
                .iter()
                .zip(0..)
                .map(move |(server, position)| {
                    let id = ServerId {
                        backend: id,
                        position,
                    };
                    (id, server)
                })
        })
}

/// Follows the chain from `tracker`, which must end at a server with a check.
fn wrong_end(tracker: ServerId, tracks: &Tracks, raw: &RawConfig) -> Option<Problem> {
    let &(mut at, span) = tracks.get(&tracker)?;
    for _ in 0..=tracks.len() {
        let Some(&(next, _)) = tracks.get(&at) else {
            let end = &raw.backends[at.backend.index()].servers[at.index()];
            // If it tracks a server that does not exist, that is told already.
            let right = end.check.is_some() || end.track.is_some();
            return (!right).then(|| unchecked(at, span, raw));
        };
        at = next;
    }
    let problem = Problem::error("these servers track each other in a circle").at(span);
    Some(problem.help("track a server that has a check"))
}

fn unchecked(target: ServerId, span: Span, raw: &RawConfig) -> Problem {
    let backend = &raw.backends[target.backend.index()];
    let server = backend.servers[target.index()].name.as_ref();
    let name = server.map_or("", |name| name.value.as_str());
    let title = format!("`{}/{name}` has no check to track", backend.name.value);
    Problem::error(title)
        .at(span)
        .help("add `check = true` to it")
}

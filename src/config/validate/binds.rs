//! No address is listened on twice.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::fields::At;
use crate::config::raw::RawConfig;
use crate::config::report::Problem;
use crate::config::value::overlap;

/// An address and who listens on it: a frontend's position, or `None` for the stats page.
type Owned<'c> = (&'c At<SocketAddr>, Option<usize>);

pub(super) fn check(raw: &RawConfig, problems: &mut Vec<Problem>) {
    let frontends = raw.frontends().iter().enumerate();
    let binds = frontends
        .flat_map(|(owner, frontend)| frontend.bind.iter().map(move |bind| (bind, Some(owner))))
        .chain(
            raw.stats
                .iter()
                .flat_map(|stats| stats.bind.iter().map(|bind| (bind, None))),
        );
    let mut by_port: HashMap<u16, Vec<Owned<'_>>> = HashMap::new();
    for bind in binds {
        let others = by_port.entry(bind.0.value.port()).or_default();
        if let Some((first, _)) = others.iter().find(|other| conflict(**other, bind)) {
            problems.push(twice(first, bind.0));
        }
        others.push(bind);
    }
}

fn conflict((a, owner): Owned<'_>, (b, other): Owned<'_>) -> bool {
    // One frontend on both wildcards is the usual way to listen for IPv4 and IPv6.
    let both_wildcards = owner == other && a.value.is_ipv4() != b.value.is_ipv4();
    overlap(a.value, b.value) && !both_wildcards
}

fn twice(first: &At<SocketAddr>, again: &At<SocketAddr>) -> Problem {
    let title = if first.value == again.value {
        format!("`{}` is listened on twice", again.value)
    } else {
        format!("`{}` and `{}` overlap", first.value, again.value)
    };
    Problem::error(title)
        .at(again.span)
        .label("used again here")
        .related(first.span, "first used here")
        .help("give each listener an address or port of its own")
}

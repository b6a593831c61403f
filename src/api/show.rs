//! `show stat`, `show backend` and `show errors`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use super::Api;
use super::command::{Answer, Client};
use crate::admin::rows::Selection;
use crate::admin::view::View;
use crate::admin::{csv, json};
use crate::outcome::Outcome;

/// `show stat [json|typed|up|no-maint] [<iid> <type> <sid>]`; a number of −1 selects all
/// (management.txt, "show stat"). As in HAProxy, other words are ignored.
pub fn statistics(api: &Api, _: &mut Client, words: &[&str]) -> Answer {
    let asked = |word| words.contains(&word);
    let numbers: Vec<i64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let number = |index: usize| numbers.get(index).and_then(|&n| u32::try_from(n).ok());
    let topology = Arc::clone(&api.running.topology);
    let selection = Selection {
        view: View {
            only_up: asked("up"),
            no_maintenance: asked("no-maint"),
            ..View::default()
        },
        proxy: number(0),
        kinds: number(1).unwrap_or(u32::MAX),
        server: number(2),
        ..Selection::all(topology, Instant::now())
    };
    if asked("json") {
        Answer::Pieces(Box::new(json::pieces(selection)))
    } else if asked("typed") {
        Answer::Pieces(Box::new(json::typed(selection)))
    } else {
        Answer::Pieces(Box::new(csv::pieces(selection)))
    }
}

/// `show backend`.
pub fn backends(api: &Api, _: &mut Client, _: &[&str]) -> Answer {
    let mut text = String::from("# name\n");
    for backend in &api.running.topology.backends {
        let _ = writeln!(text, "{}", backend.config.name);
    }
    Answer::Text(text)
}

/// `show errors`. HAProxy shows requests that are no HTTP here; of TCP sessions there is no
/// more to show than how many failed, and how.
pub fn errors(api: &Api, _: &mut Client, _: &[&str]) -> Answer {
    let frontends = &api.running.topology.frontends;
    let failed = frontends.iter().flat_map(|frontend| {
        let counts = frontend.endings.counts();
        let failed = counts.filter(|(outcome, _)| *outcome != Outcome::NORMAL);
        failed.map(|(outcome, count)| (frontend.config.name.as_str(), outcome, count))
    });
    let failed: Vec<_> = failed.collect();
    let total: u64 = failed.iter().map(|(_, _, count)| count).sum();
    let mut text = format!("Total sessions that did not end normally: {total}\n");
    for (frontend, outcome, count) in failed {
        let _ = writeln!(text, "{frontend} {outcome} {count}");
    }
    Answer::Text(text)
}

//! A few facts about the process, for the top of the page.

use std::process;

use maud::{Markup, html};

use super::Report;
use super::figures::grouped;
use crate::topology::Frontend;

/// The facts.
pub fn list(id: &str, report: &Report) -> Markup {
    let frontends = &report.topology.frontends;
    let sum = |pick: fn(&Frontend) -> u64| grouped(frontends.iter().map(|f| pick(f)).sum());
    let workers = frontends.first().map_or(0, |f| f.counters.workers());
    let uptime = report.moment.uptime();
    html! {
        dl.facts id=(id) {
            div { dt { "pid" } dd { (process::id()) } }
            div { dt { "Up for" } dd { (report.moment.age(uptime)) } }
            div { dt { "Worker threads" } dd { (workers) } }
            div { dt { "Sessions open" } dd { (sum(|f| f.counters.open().into())) } }
            div { dt { "New per second" } dd { (sum(|f| f.counters.rate().into())) } }
            div { dt { "All sessions" } dd { (sum(|f| f.counters.total(|s| &s.sessions))) } }
        }
    }
}

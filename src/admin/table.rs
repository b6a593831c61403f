//! The tables of the page: one for the frontends, and one for each backend.

use maud::{Markup, PreEscaped, html};

use super::Report;
use super::chart::{charts, marks};
use super::columns::{BACKEND_HEAD, FRONTEND_HEAD};
use super::controls;
use super::fields::{last_description, last_status};
use super::figures::{age, grouped, lapse, shortened};
use super::moment::Moment;
use super::row::{Check, Farm, Kind, Row, Standing};
use super::style::Colour;
use crate::events::Event;
use crate::explain::servers::passed_over;
use crate::explain::servers_in_use;
use crate::topology::{Backend, Frontend, Topology};

/// Stands where a table's rows go. Names cannot forge it: their `<` is escaped.
const ROWS: &str = "<!--rows-->";

/// The table of the frontends, before and after its rows.
pub fn frontends() -> (String, String) {
    let table = html! {
        section.frontends {
            h2 { "Frontends" }
            (wide("Frontends", &FRONTEND_HEAD))
        }
    };
    around_rows(&table)
}

/// A backend's table, before its servers and after its total. `in_use` and `charts` are for its
/// head.
pub fn backend(
    backend: &Backend,
    in_use: &Markup,
    charts: &Markup,
    report: &Report,
) -> (String, String) {
    let name = &backend.config.name;
    let rows = wide(&format!("Backend {name}"), &BACKEND_HEAD);
    let table = html! {
        section.backend id={ "b" (backend.id.0) } {
            div.head {
                div { h2 { (name) } (in_use) }
                (charts)
            }
            @if report.may_change() { (controls::form(backend, &rows, report)) } @else { (rows) }
        }
    };
    around_rows(&table)
}

/// A table that can be scrolled sideways, also with the keyboard.
fn wide(caption: &str, head: &Markup) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                (head)
                tbody { (PreEscaped(ROWS)) }
            }
        }
    }
}

fn around_rows(table: &Markup) -> (String, String) {
    let (start, end) = table.0.split_once(ROWS).unwrap_or((&table.0, ""));
    (start.into(), end.into())
}

/// A frontend's row.
pub fn frontend(id: &str, topology: &Topology, frontend: &Frontend) -> Markup {
    let row = Row::frontend(topology, frontend);
    let open = row.standing == Standing::Up;
    html! {
        tr.(if open { "plain" } else { "mt" }) id=(id) {
            th scope="row" {
                (tip(id, "a", &html! { (row.proxy) }, &html! { "Binds " (row.address) }))
            }
            (rate_cells(&row))
            (session_cells(&row))
            (byte_cells(&row))
            td { (grouped(row.tally.denied)) }
            td { (grouped(row.tally.request_errors)) }
            td.t { b { (row.status) } }
        }
    }
}

/// Which servers of a backend are in use, and for which of `senders`.
pub fn servers(id: &str, backend: &Backend, senders: &[String]) -> Markup {
    html! {
        p.servers id=(id) {
            (servers_in_use(backend))
            @match senders {
                [] => "; no frontend sends sessions here now",
                [first] => { " for " (first) },
                [first, others @ ..] => { " for " (first) " and " (others.len()) " more" },
            }
        }
    }
}

/// The charts of a backend; what is marked is what happened to its servers.
pub fn backend_charts(id: &str, backend: &Backend, report: &Report) -> Markup {
    let name = &*backend.config.name;
    let marks = marks(&report.records, report.moment.wall(), |record| {
        let rest = record.event.subject().strip_prefix(name);
        !matches!(record.event, Event::RouteChanged { .. })
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    charts(id, &backend.counters.recent(), &marks)
}

/// A server's row, or a backend's total.
pub fn farm_row(id: &str, row: &Row<'_>, backend: &Backend, report: &Report) -> Markup {
    let class = match (row.kind, &row.farm) {
        (Kind::Server, Some(farm)) => Colour::of(row.standing, farm.backup > 0).class,
        _ if row.standing == Standing::Down => "total down",
        _ => "total",
    };
    let (tally, moment) = (&row.tally, report.moment);
    html! {
        tr class=(class) id=(id) {
            th scope="row" { (name(id, row, backend, report)) }
            td { (grouped(row.queue.now.into())) }
            td { (grouped(row.queue.longest.into())) }
            td { (limit(row.queue.limit)) }
            (rate_cells(row))
            (session_cells(row))
            td { (grouped(tally.balanced)) }
            td { @match row.last_session { Some(ago) => (moment.age(ago)), None => "?" } }
            (byte_cells(row))
            td { @if row.kind == Kind::Backend { (grouped(tally.denied)) } }
            td { "0" }
            td {}
            td { (grouped(tally.connect_errors)) }
            td { (grouped(tally.response_errors)) }
            td { (grouped(tally.retries)) }
            td { (grouped(tally.redispatches)) }
            @if let Some(farm) = &row.farm { (server_cells(id, row, farm, moment)) }
        }
    }
}

/// A word with more about it, which is shown under the pointer and under the keyboard's focus.
fn tip(id: &str, which: &str, word: &Markup, more: &Markup) -> Markup {
    html! {
        span.tip tabindex="0" aria-describedby={ (which) "-" (id) } {
            (word)
            span.more role="tooltip" id={ (which) "-" (id) } { (more) }
        }
    }
}

/// The name; for a server also its part in the farm.
fn name(id: &str, row: &Row<'_>, backend: &Backend, report: &Report) -> Markup {
    let server = row.farm.as_ref().filter(|_| row.kind == Kind::Server);
    let Some(farm) = server else {
        return html! { "Backend" };
    };
    let passed_over = passed_over(backend, row.server_number - 1, report.moment.now);
    let is_sent_to = !report.overview.senders(backend.id).is_empty();
    let more = html! {
        (row.address) br;
        @match passed_over {
            Some(why) => { "No new sessions: " (why) },
            None if is_sent_to => "New sessions go here",
            None => "Ready, but no frontend sends sessions to this backend now",
        }
    };
    html! {
        @if report.may_change() { (controls::choice(row.name)) }
        (tip(id, "a", &html! { (row.name) }, &more))
        @if farm.backup > 0 { span.tag { "backup" } }
        @if farm.in_use && is_sent_to { span.tag.use { "in use" } }
    }
}

fn rate_cells(row: &Row<'_>) -> Markup {
    let most = row.tally.rate_limit;
    html! {
        td { (grouped(row.tally.rate.into())) }
        td { (grouped(row.tally.highest_rate.into())) }
        td { (limit((most > 0).then_some(most))) }
    }
}

fn session_cells(row: &Row<'_>) -> Markup {
    html! {
        td { (grouped(row.tally.open.into())) }
        td { (grouped(row.tally.most_open.into())) }
        td { (limit(row.limit)) }
        td { (grouped(row.tally.sessions)) }
    }
}

/// As HAProxy writes it.
fn limit(most: Option<u32>) -> String {
    most.map_or("-".into(), |most| grouped(most.into()))
}

fn byte_cells(row: &Row<'_>) -> Markup {
    html! { (bytes(row.tally.bytes_in)) (bytes(row.tally.bytes_out)) }
}

/// Short, with the exact number in a tooltip.
fn bytes(number: u64) -> Markup {
    let (short, exact) = (shortened(number), grouped(number));
    html! {
        @if short == exact { td { (exact) } } @else { td title=(exact) { (short) } }
    }
}

fn server_cells(id: &str, row: &Row<'_>, farm: &Farm, moment: Moment) -> Markup {
    let is_down = matches!(row.standing, Standing::Down | Standing::GoingUp);
    html! {
        td.t { b { (row.status) } " " (moment.age(farm.changed)) }
        @match &row.check {
            Some(check) => (check_cell(id, check)),
            None => td {},
        }
        td { (farm.weight) }
        td { (part(row, farm.active)) }
        td { (part(row, farm.backup)) }
        td { @if let Some(check) = &row.check { (grouped(check.failures)) } }
        td { @if let Some(downs) = farm.downs { (grouped(downs)) } }
        td {
            @match farm.downtime {
                Some(downtime) if is_down => (moment.age(downtime)),
                Some(downtime) => (age(downtime)),
                None => {},
            }
        }
        td { "-" }
    }
}

/// How many servers of a kind a backend has; whether a server is of it.
fn part(row: &Row<'_>, count: u32) -> String {
    match (row.kind, count) {
        (Kind::Server, 0) => "-".into(),
        (Kind::Server, _) => "Y".into(),
        _ => grouped(count.into()),
    }
}

fn check_cell(id: &str, check: &Check) -> Markup {
    let limits = check.health;
    let (code, meaning) = (last_status(check), last_description(check));
    let last = check.last.as_ref();
    let info = last.map_or("", |last| &*last.info);
    let word = html! {
        (code)
        @if let Some(last) = last { " in " (lapse(last.duration)) }
        @if !info.is_empty() { ": " (clipped(info)) }
    };
    let more = html! {
        (meaning) @if !info.is_empty() { ": " (info) }
        "; health " (limits.health) " of " (limits.rise + limits.fall - 1)
        ", rise " (limits.rise) ", fall " (limits.fall)
    };
    html! { td.t.c { (tip(id, "c", &word, &more)) } }
}

/// What fits into a cell; the whole is in the tooltip.
fn clipped(text: &str) -> String {
    const LONGEST: usize = 32;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::columns::{BACKEND_GROUPS, FRONTEND_GROUPS};
    use super::*;
    use crate::topology::sample::{
        farms, pass_check, server, single_farm, take_down, with_backend,
    };

    fn shown(topology: &Arc<Topology>, position: usize) -> String {
        let backend = &topology.backends[0];
        let report = Report::sample(topology.clone());
        let now = report.moment.now;
        let row = match backend.servers.get(position) {
            Some(server) => Row::server(topology, backend, server, now),
            None => Row::backend(topology, backend, now),
        };
        farm_row("x", &row, backend, &report).0
    }

    #[test]
    fn every_row_has_as_many_cells_as_there_are_columns() {
        let topology = farms();
        pass_check(&topology, 0, 0, 4);
        take_down(&topology, 0, 1);
        let columns: usize = BACKEND_GROUPS
            .iter()
            .map(|(_, columns)| columns.len())
            .sum();
        for position in 0..5 {
            let row = shown(&topology, position);
            assert_eq!(row.matches("<td").count(), columns, "{row}");
        }
        let columns: usize = FRONTEND_GROUPS
            .iter()
            .map(|(_, columns)| columns.len())
            .sum();
        let table = frontend("x", &topology, &topology.frontends[0]).0;
        assert_eq!(table.matches("<td").count(), columns, "{table}");
    }

    #[test]
    fn a_down_server_says_why() {
        let topology = single_farm(false);
        take_down(&topology, 0, 0);
        let row = shown(&topology, 0);
        assert!(row.starts_with("<tr class=\"down\" id=\"x\">"), "{row}");
        assert!(
            row.contains("<b>DOWN</b> <span data-a=\"60\">1h 11m</span>"),
            "{row}"
        );
        assert!(
            row.contains(">L4CON in 2ms: Connection refused<span class=\"more\""),
            "{row}"
        );
        let tooltip =
            "Layer4 connection problem: Connection refused; health 0 of 4, rise 2, fall 3";
        assert!(row.contains(tooltip), "{row}");
        assert!(!row.contains("in use"), "{row}");
        assert!(
            row.contains("127.0.0.1:81<br>No new sessions: down"),
            "{row}"
        );
        assert!(row.contains("aria-describedby=\"c-x\""), "{row}");
    }

    #[test]
    fn servers_in_use_are_marked() {
        let topology = single_farm(false);
        let marked = |position| shown(&topology, position).contains("in use");
        assert_eq!([0, 1, 2, 3].map(marked), [true, true, false, false]);
        take_down(&topology, 0, 0);
        take_down(&topology, 0, 1);
        assert_eq!([0, 1, 2, 3].map(marked), [false, false, true, false]);
    }

    #[test]
    fn a_backend_without_a_server_stands_out() {
        let topology = single_farm(false);
        assert!(shown(&topology, 4).starts_with("<tr class=\"total\" id=\"x\">"));
        (0..4).for_each(|position| take_down(&topology, 0, position));
        assert!(shown(&topology, 4).starts_with("<tr class=\"total down\" id=\"x\">"));
    }

    #[test]
    fn a_hostile_name_is_only_text() {
        let hostile = "<script>alert(1)</script>\"'&";
        let topology = with_backend(crate::topology::sample::backend(
            hostile,
            false,
            vec![server(hostile, 80, true), server(ROWS, 81, false)],
        ));
        let nothing = html! {};
        let report = Report::sample(topology.clone());
        let (start, end) = backend(&topology.backends[0], &nothing, &nothing, &report);
        for markup in [start, end, shown(&topology, 0), shown(&topology, 1)] {
            assert!(!markup.contains("<script"), "{markup}");
            assert!(!markup.contains(ROWS), "{markup}");
        }
        let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;";
        assert!(shown(&topology, 0).contains(escaped));
    }

    #[test]
    fn long_evidence_is_clipped_between_characters() {
        assert_eq!(clipped("short"), "short");
        assert_eq!(clipped(&"é".repeat(40)), format!("{}…", "é".repeat(32)));
    }
}

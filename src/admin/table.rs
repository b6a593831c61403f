//! The tables of the page, one for each frontend and backend.

use maud::{Markup, PreEscaped, html};

use super::columns::{BACKEND_HEAD, FRONTEND_HEAD};
use super::fields::{last_description, last_status};
use super::figures::{age, grouped, lapse, shortened};
use super::row::{Check, Farm, Kind, Row, Standing};
use super::style::Colour;
use crate::explain::servers_in_use;
use crate::topology::{Backend, Frontend, Topology};

/// A frontend's table.
pub fn frontend(topology: &Topology, frontend: &Frontend) -> Markup {
    let row = Row::frontend(topology, frontend);
    html! {
        section id={ "f" (frontend.id.0) } {
            h2 { (row.proxy) " " small { "frontend, binds " (row.address) } }
            div.wide tabindex="0" role="region" aria-label={ "Frontend " (row.proxy) } {
                table {
                    caption { "Frontend " (row.proxy) }
                    (*FRONTEND_HEAD)
                    tbody {
                        tr.plain {
                            th scope="row" { "Frontend" }
                            (rate_cells(&row))
                            (session_cells(&row))
                            (byte_cells(&row))
                            td { (grouped(row.tally.denied)) }
                            td { (grouped(row.tally.request_errors)) }
                            td.t { (row.status) }
                        }
                    }
                }
            }
        }
    }
}

/// Stands where a table's rows go. Names cannot forge it: their `<` is escaped.
const ROWS: &str = "<!--rows-->";

/// A backend's table, before its servers and after its total.
pub fn backend(backend: &Backend) -> (String, String) {
    let name = &backend.config.name;
    let table = html! {
        section id={ "b" (backend.id.0) } {
            h2 { (name) " " small { "backend, " (servers_in_use(backend)) } }
            div.wide tabindex="0" role="region" aria-label={ "Backend " (name) } {
                table {
                    caption { "Backend " (name) }
                    (*BACKEND_HEAD)
                    tbody { (PreEscaped(ROWS)) }
                }
            }
        }
    };
    let (start, end) = table.0.split_once(ROWS).unwrap_or((&table.0, ""));
    (start.into(), end.into())
}

/// A server's row, or a backend's total.
pub fn farm_row(row: &Row<'_>) -> Markup {
    let class = match (row.kind, &row.farm) {
        (Kind::Server, Some(farm)) => Colour::of(row.standing, farm.backup > 0).class,
        _ if row.standing == Standing::Down => "total down",
        _ => "total",
    };
    let tally = &row.tally;
    html! {
        tr class=(class) {
            th scope="row" { (name(row)) }
            td { (grouped(row.queue.now.into())) }
            td { (grouped(row.queue.longest.into())) }
            td { (limit(row.queue.limit)) }
            (rate_cells(row))
            (session_cells(row))
            td { (grouped(tally.balanced)) }
            td { (row.last_session.map_or("?".into(), age)) }
            (byte_cells(row))
            td { @if row.kind == Kind::Backend { (grouped(tally.denied)) } }
            td { "0" }
            td {}
            td { (grouped(tally.connect_errors)) }
            td { (grouped(tally.response_errors)) }
            td { (grouped(tally.retries)) }
            td { (grouped(tally.redispatches)) }
            @if let Some(farm) = &row.farm { (server_cells(row, farm)) }
        }
    }
}

/// The name; for a server also its part in the farm. The status is repeated for small screens,
/// where its column is out of sight.
fn name(row: &Row<'_>) -> Markup {
    let server = row.farm.as_ref().filter(|_| row.kind == Kind::Server);
    html! {
        @match server {
            None => "Backend",
            Some(farm) => {
                span title=(row.address) { (row.name) }
                @if farm.backup > 0 { span.tag { "backup" } }
                @if farm.in_use { span.tag.use title="New sessions go here" { "in use" } }
            }
        }
        span.tag.now aria-hidden="true" { (row.status) }
    }
}

fn rate_cells(row: &Row<'_>) -> Markup {
    html! {
        td { (grouped(row.tally.rate.into())) }
        td { (grouped(row.tally.highest_rate.into())) }
        td { "-" }
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

fn server_cells(row: &Row<'_>, farm: &Farm) -> Markup {
    html! {
        td.t { b { (row.status) } " " (age(farm.changed)) }
        @match &row.check {
            Some(check) => (check_cell(check)),
            None => td {},
        }
        td { (farm.weight) }
        td { (part(row, farm.active)) }
        td { (part(row, farm.backup)) }
        td { @if let Some(check) = &row.check { (grouped(check.failures)) } }
        td { @if let Some(downs) = farm.downs { (grouped(downs)) } }
        td { @if let Some(downtime) = farm.downtime { (age(downtime)) } }
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

fn check_cell(check: &Check) -> Markup {
    let limits = check.health;
    let (code, meaning) = (last_status(check), last_description(check));
    let last = check.last.as_ref();
    let info = last.map_or("", |last| &*last.info);
    html! {
        td.t.c title={
            (meaning) @if !info.is_empty() { ": " (info) }
            "; health " (limits.health) " of " (limits.rise + limits.fall - 1)
            ", rise " (limits.rise) ", fall " (limits.fall)
        } {
            (code)
            @if let Some(last) = last { " in " (lapse(last.duration)) }
            @if !info.is_empty() { ": " (clipped(info)) }
        }
    }
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
    use std::time::Duration;

    use super::super::columns::{BACKEND_GROUPS, FRONTEND_GROUPS};
    use super::*;
    use crate::topology::sample::{
        farms, pass_check, server, single_farm, take_down, with_backend,
    };

    fn shown(topology: &Topology, position: usize) -> String {
        let backend = &topology.backends[0];
        let now = topology.started + Duration::from_secs(4_320);
        match backend.servers.get(position) {
            Some(server) => farm_row(&Row::server(topology, backend, server, now)),
            None => farm_row(&Row::backend(topology, backend, now)),
        }
        .0
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
        let table = frontend(&topology, &topology.frontends[0]).0;
        assert_eq!(table.matches("<td").count(), columns, "{table}");
    }

    #[test]
    fn a_down_server_says_why() {
        let topology = single_farm(false);
        take_down(&topology, 0, 0);
        let row = shown(&topology, 0);
        assert!(row.starts_with("<tr class=\"down\">"), "{row}");
        assert!(row.contains("<b>DOWN</b> 1h 11m"), "{row}");
        assert!(
            row.contains(">L4CON in 2ms: Connection refused</td>"),
            "{row}"
        );
        let tooltip =
            "Layer4 connection problem: Connection refused; health 0 of 4, rise 2, fall 3";
        assert!(row.contains(tooltip), "{row}");
        assert!(!row.contains("in use"), "{row}");
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
        assert!(shown(&topology, 4).starts_with("<tr class=\"total\">"));
        (0..4).for_each(|position| take_down(&topology, 0, position));
        assert!(shown(&topology, 4).starts_with("<tr class=\"total down\">"));
    }

    #[test]
    fn a_hostile_name_is_only_text() {
        let hostile = "<script>alert(1)</script>\"'&";
        let topology = with_backend(crate::topology::sample::backend(
            hostile,
            false,
            vec![server(hostile, 80, true), server(ROWS, 81, false)],
        ));
        let (start, end) = backend(&topology.backends[0]);
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

//! The HTML page. It needs no script and nothing from outside.

use std::process;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use super::figures::{age, grouped};
use super::row::Row;
use super::style::{COLOURS, STYLE};
use super::table;
use super::view::{Format, View};
use crate::config::StatsConfig;
use crate::explain::{Route, Routes};
use crate::topology::{Frontend, Topology};

/// Stands where the tables go. Names cannot forge it: their `<` is escaped.
const TABLES: &str = "<!--tables-->";

/// The whole page, a row at a time.
pub fn pieces(report: Report) -> impl Iterator<Item = String> + Send + 'static {
    let shell = shell(&report).0;
    let (start, end) = shell.split_once(TABLES).unwrap_or((&shell, ""));
    let (start, end) = (start.to_owned(), end.to_owned());
    let (frontends, backends) = (report.clone(), report);
    std::iter::once(start)
        .chain((0..frontends.topology.frontends.len()).map(move |index| {
            let topology = &frontends.topology;
            table::frontend(topology, &topology.frontends[index]).0
        }))
        .chain(
            (0..backends.topology.backends.len())
                .flat_map(move |index| backend_pieces(backends.clone(), index)),
        )
        .chain(std::iter::once(end))
}

fn backend_pieces(report: Report, index: usize) -> impl Iterator<Item = String> + Send + 'static {
    let (start, end) = table::backend(&report.topology.backends[index]);
    let servers = report.topology.backends[index].servers.len();
    let rows = (0..=servers).filter_map(move |position| {
        let (topology, now) = (&*report.topology, report.now);
        let backend = &topology.backends[index];
        let row = match backend.servers.get(position) {
            None => Row::backend(topology, backend, now),
            Some(server) if report.view.hides(server) => return None,
            Some(server) => Row::server(topology, backend, server, now),
        };
        Some(table::farm_row(&row).0)
    });
    std::iter::once(start)
        .chain(rows)
        .chain(std::iter::once(end))
}

/// Everything but the tables.
fn shell(report: &Report) -> Markup {
    let (topology, settings) = (&*report.topology, &*report.settings);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                (refresh(settings, report.view))
                title { "Backstop statistics" }
                link rel="icon" href="data:,";
                style { (PreEscaped(&STYLE.sheet)) }
            }
            body {
                header {
                    div.top {
                        h1 { "Backstop " small { (env!("CARGO_PKG_VERSION")) } }
                        (views(settings, report.view))
                    }
                    (process_facts(report))
                }
                main {
                    @if let Some(outcome) = report.view.outcome {
                        p.outcome role="status" { (outcome.told()) }
                    }
                    (all_routes(topology))
                    (legend())
                    (PreEscaped(TABLES))
                }
                footer { "Totals count from the start of the process." }
            }
        }
    }
}

fn refresh(settings: &StatsConfig, view: View) -> Markup {
    let every = settings.refresh.filter(|_| !view.still);
    html! {
        @if let Some(every) = every {
            meta http-equiv="refresh" content=(every.as_secs().max(1));
        }
    }
}

/// Links to the other views of the page.
fn views(settings: &StatsConfig, view: View) -> Markup {
    let path = |view: View| view.path(&settings.uri);
    let csv = View {
        format: Format::Csv,
        ..View::default()
    };
    let up = View {
        only_up: !view.only_up,
        ..view
    };
    let still = View {
        still: !view.still,
        ..view
    };
    html! {
        nav.views aria-label="Views" {
            a href=(path(view)) { "Refresh now" }
            @if settings.refresh.is_some() {
                a href=(path(still)) {
                    @if view.still { "Refresh by itself" } @else { "Stop refreshing" }
                }
            }
            a href=(path(up)) {
                @if view.only_up { "Show all servers" } @else { "Hide servers that are down" }
            }
            a href=(path(csv)) { "CSV" }
        }
    }
}

fn process_facts(report: &Report) -> Markup {
    let frontends = &report.topology.frontends;
    let sum = |pick: fn(&Frontend) -> u64| grouped(frontends.iter().map(|f| pick(f)).sum());
    let workers = frontends.first().map_or(0, |f| f.counters.workers());
    let uptime = report
        .now
        .saturating_duration_since(report.topology.started);
    html! {
        dl.facts {
            div { dt { "pid" } dd { (process::id()) } }
            div { dt { "Up for" } dd { (age(uptime)) } }
            div { dt { "Worker threads" } dd { (workers) } }
            div { dt { "Sessions open" } dd { (sum(|f| f.counters.open().into())) } }
            div { dt { "New per second" } dd { (sum(|f| f.counters.rate().into())) } }
            div { dt { "All sessions" } dd { (sum(|f| f.counters.total(|s| &s.sessions))) } }
        }
    }
}

/// A line for each frontend: where new sessions go now, and why.
fn all_routes(topology: &Topology) -> Markup {
    html! {
        section.routes aria-label="Where new sessions go" {
            h2 { "Where new sessions go now" }
            ul {
                @for frontend in &topology.frontends {
                    li { (routes(frontend, topology)) }
                }
            }
        }
    }
}

fn routes(frontend: &Frontend, topology: &Topology) -> Markup {
    let routes = Routes::of(frontend, topology);
    html! {
        a href={ "#f" (frontend.id.0) } { (frontend.config.name) }
        " → "
        @if !routes.for_some.is_empty() {
            "depends on the client: "
            @for route in &routes.for_some { (one_route(route)) "; otherwise " }
        }
        @match &routes.otherwise {
            Some(route) => (one_route(route)),
            None => b { "refused: no rule applies and there is no default_backend" },
        }
    }
}

fn one_route(route: &Route<'_>) -> Markup {
    html! {
        a href={ "#b" (route.backend.id.0) } { b { (route.backend.config.name) } }
        (route.reason())
    }
}

fn legend() -> Markup {
    html! {
        ul.legend aria-label="Colours" {
            @for colour in &COLOURS {
                li class=(colour.class) { (colour.meaning) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::admin::auth::Visitor;
    use crate::config::StatsConfig;
    use crate::topology::sample::{backend, farms, pass_check, server, settings, take_down};
    use crate::topology::sample::{single_farm, with_backend};

    fn page_of(topology: &Arc<Topology>, settings: StatsConfig, view: View) -> String {
        let report = Report {
            topology: topology.clone(),
            settings: settings.into(),
            view,
            visitor: Visitor::ANYONE,
            now: topology.started + Duration::from_secs(4_320),
        };
        pieces(report).collect()
    }

    fn page(topology: &Arc<Topology>) -> String {
        page_of(topology, settings(), View::default())
    }

    #[test]
    fn the_page_says_where_sessions_go_and_why() {
        let topology = farms();
        let before = "<a href=\"#f0\">ft-app</a> → <a href=\"#b0\"><b>bk-app-main</b></a> \
                      (default): 4 of 4 primaries";
        assert!(page(&topology).contains(before), "{}", page(&topology));
        take_down(&topology, 0, 0);
        take_down(&topology, 0, 1);
        let after = "<a href=\"#b1\"><b>bk-app-backup</b></a>: MAIN_not_enough_capacity holds \
                     (nbsrv(bk-app-main) = 2, le 2); 2 of 2 primaries";
        assert!(page(&topology).contains(after), "{}", page(&topology));
    }

    #[test]
    fn a_row_for_every_frontend_server_and_backend() {
        let page = page(&farms());
        assert_eq!(page.matches("<th scope=\"row\">").count(), 1 + 8 + 2);
        assert_eq!(
            page.matches("<table>").count(),
            page.matches("</table>").count()
        );
        assert_eq!(
            page.matches("<section").count(),
            page.matches("</section>").count()
        );
        assert!(page.ends_with("</html>"), "{page}");
    }

    #[test]
    fn the_process_is_introduced() {
        let page = page(&farms());
        let facts = [
            ("pid", process::id().to_string()),
            ("Up for", "1h 12m".into()),
        ];
        for (name, value) in facts {
            let fact = format!("<dt>{name}</dt><dd>{value}</dd>");
            assert!(page.contains(&fact), "{fact}");
        }
        assert!(page.contains(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn it_reloads_itself_only_where_that_is_wanted() {
        let every = |seconds| StatsConfig {
            refresh: Some(Duration::from_millis(seconds)),
            ..settings()
        };
        let topology = farms();
        let still = View {
            still: true,
            ..View::default()
        };
        let reloads = |settings, view| page_of(&topology, settings, view).contains("http-equiv");
        assert!(!reloads(settings(), View::default()));
        assert!(!reloads(every(5_000), still));
        assert!(reloads(every(5_000), View::default()));
        let page = page_of(&topology, every(100), View::default());
        assert!(page.contains("<meta http-equiv=\"refresh\" content=\"1\">"));
        assert!(page.contains("<a href=\"/;norefresh\">Stop refreshing</a>"));
    }

    #[test]
    fn up_hides_servers_that_are_down() {
        let topology = single_farm(false);
        take_down(&topology, 0, 0);
        let up = View {
            only_up: true,
            ..View::default()
        };
        let page = page_of(&topology, settings(), up);
        assert!(!page.contains(">s1</span>"));
        assert!(page.contains(">s2</span>"));
        assert!(page.contains("<a href=\"/\">Show all servers</a>"));
    }

    #[test]
    fn a_hostile_name_is_only_text() {
        let hostile = "<script>alert(1)</script>\"'&<!--tables-->";
        let topology = with_backend(backend(hostile, false, vec![server(hostile, 80, true)]));
        let page = page_of(&topology, settings(), View::default());
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("<!--"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"));
    }

    #[test]
    fn a_page_of_ten_servers_is_light() {
        let servers = (0..10).map(|n| server(&format!("web-{n}"), 8000 + n, n > 6));
        let topology = with_backend(backend("bk", false, servers.collect()));
        (0..10).for_each(|n| pass_check(&topology, 0, n, 4));
        let size = page(&topology).len();
        assert!(size < 40_000, "{size}");
    }

    #[test]
    fn ten_thousand_servers_come_in_small_pieces() {
        let servers = (0..10_000).map(|n| server(&format!("web-{n}"), 80, n >= 9_000));
        let topology = with_backend(backend("bk", false, servers.collect()));
        let report = Report {
            topology,
            settings: settings().into(),
            view: View::default(),
            visitor: Visitor::ANYONE,
            now: std::time::Instant::now(),
        };
        let sizes: Vec<_> = pieces(report).map(|piece| piece.len()).collect();
        assert_eq!(sizes.len(), 1 + 1 + 1 + 10_000 + 1 + 1 + 1);
        let longest_row = sizes[3..10_003].iter().max();
        assert!(longest_row < Some(&2_000), "{longest_row:?}");
    }
}

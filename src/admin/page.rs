//! The HTML page. It shows everything without a script, and needs nothing from outside.

use std::sync::Arc;
use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use super::parts::{Part, shape};
use super::script::SCRIPT;
use super::style::{COLOURS, STYLE};
use super::table;
use super::view::{Format, View};
use crate::config::StatsConfig;

/// Stands where something long goes. Names cannot forge it: their `<` is escaped.
const LONG: &str = "<!--long-->";

/// How often a page that cannot be live loads its parts again, unless `refresh` says otherwise.
const POLL: Duration = Duration::from_secs(5);

/// The whole page, a part at a time.
pub fn pieces(report: Report) -> impl Iterator<Item = String> + Send + 'static {
    let shell = shell(&report).0;
    let mut shell = shell.splitn(4, LONG).map(str::to_owned);
    let mut next = || shell.next().unwrap_or_default();
    let (start, overview, tables, end) = (next(), next(), next(), next());
    let (before, after) = table::frontends();
    let report = Arc::new(report);
    let frontends = report.topology.frontends.len();
    let backends = report.topology.backends.len();
    let (cards, rows, farms) = (report.clone(), report.clone(), report);
    std::iter::once(start)
        .chain((0..frontends).map(move |index| card(index, &cards)))
        .chain([overview, before])
        .chain((0..frontends).map(move |index| Part::Frontend(index).markup(&rows).0))
        .chain([after, tables])
        .chain((0..backends).flat_map(move |index| backend_pieces(farms.clone(), index)))
        .chain(std::iter::once(end))
}

fn card(frontend: usize, report: &Report) -> String {
    html! {
        li {
            (Part::Route(frontend).markup(report))
            (Part::FrontendCharts(frontend).markup(report))
        }
    }
    .0
}

fn backend_pieces(
    report: Arc<Report>,
    index: usize,
) -> impl Iterator<Item = String> + Send + 'static {
    let backend = &report.topology.backends[index];
    let in_use = Part::InUse(index).markup(&report);
    let charts = Part::BackendCharts(index).markup(&report);
    let (start, end) = table::backend(backend, &in_use, &charts, &report);
    let servers = backend.servers.len();
    let rows = (0..=servers).filter_map(move |position| {
        let server = report.topology.backends[index].servers.get(position);
        if server.is_some_and(|server| report.view.hides(server)) {
            return None;
        }
        Some(Part::Farm(index, position).markup(&report).0)
    });
    std::iter::once(start)
        .chain(rows)
        .chain(std::iter::once(end))
}

/// Everything but what may be long.
fn shell(report: &Report) -> Markup {
    let (settings, view) = (&*report.settings, report.view);
    let poll = settings.refresh.unwrap_or(POLL).as_secs().max(1);
    let live = View {
        format: Format::Live,
        ..View::default()
    };
    html! {
        (DOCTYPE)
        html lang="en"
            data-t=(report.moment.uptime().as_secs())
            data-poll=[(!view.still).then_some(poll)]
            data-live=[view.can_be_live().then(|| live.path(&settings.uri))]
            data-p=(shape(&report.topology))
        {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                (refresh(settings, view))
                (Part::Title.markup(report))
                link rel="icon" href="data:,";
                style { (PreEscaped(&STYLE.text)) }
            }
            body {
                header {
                    div.top {
                        h1 { "Backstop " small { (env!("CARGO_PKG_VERSION")) } }
                        (Part::State.markup(report))
                        p.mode id="mode" { "As of " (report.moment.clock(Duration::ZERO)) " UTC" }
                        (views(settings, view))
                    }
                    (Part::Facts.markup(report))
                    p.unseen id="said" role="status" {}
                    div.outcome role="status" {
                        @if let Some(outcome) = view.outcome { p { (outcome.told()) } }
                    }
                }
                main {
                    div.overview {
                        section.routes {
                            h2 { "Where new sessions go now" }
                            ul.cards { (PreEscaped(LONG)) }
                            h2 { "What needs attention" }
                            (Part::Troubles.markup(report))
                        }
                        section.happened {
                            h2 {
                                "What happened "
                                small { "times are UTC, " a href="/events.json" { "all as JSON" } }
                            }
                            div.scroll tabindex="0" role="region" aria-label="Last events" {
                                (Part::Events.markup(report))
                            }
                        }
                    }
                    (PreEscaped(LONG))
                    (legend())
                    (PreEscaped(LONG))
                }
                footer { "Totals count from the start of the process. Charts show five minutes." }
                script { (PreEscaped(&SCRIPT.text)) }
            }
        }
    }
}

/// For browsers without a script; those with one need not load the whole page.
fn refresh(settings: &StatsConfig, view: View) -> Markup {
    let every = settings.refresh.filter(|_| !view.still);
    html! {
        @if let Some(every) = every {
            noscript { meta http-equiv="refresh" content=(every.as_secs().max(1)); }
        }
    }
}

/// Links to the other views of the page.
fn views(settings: &StatsConfig, view: View) -> Markup {
    let path = |view: View| view.path(&settings.uri);
    let other = |format| View {
        format,
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
            a href=(path(view)) { "Load again" }
            a href=(path(still)) { @if view.still { "Follow changes" } @else { "Stand still" } }
            a href=(path(up)) {
                @if view.only_up { "Show all servers" } @else { "Hide servers that are down" }
            }
            a href=(path(other(Format::Csv))) { "CSV" }
            a href=(path(other(Format::Json))) { "JSON" }
        }
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
    use super::*;
    use crate::admin::Running;
    use crate::admin::auth::Visitor;
    use crate::events::Event;
    use crate::topology::Topology;
    use crate::topology::sample::{backend, farms, pass_check, server, settings, take_down};
    use crate::topology::sample::{single_farm, with_backend};

    fn page_of(topology: &Arc<Topology>, settings: StatsConfig, view: View) -> String {
        let running = Running::of(topology.clone());
        pieces(Report::of(&running, settings.into(), view, Visitor::ANYONE)).collect()
    }

    fn page(topology: &Arc<Topology>) -> String {
        page_of(topology, settings(), View::default())
    }

    #[test]
    fn the_page_says_where_sessions_go_and_why() {
        let topology = farms();
        let before = "<a href=\"#f0\">ft-app</a> → <a href=\"#b0\"><b>bk-app-main</b></a>\
                      <span class=\"servers\">4 of 4 primaries</span></p>\
                      <p class=\"why\">because it is the default and no rule holds</p>";
        assert!(page(&topology).contains(before), "{}", page(&topology));
        topology.frontends[0].rerouted(topology.started);
        take_down(&topology, 0, 0);
        take_down(&topology, 0, 1);
        let after = "<a href=\"#b1\"><b>bk-app-backup</b></a>\
                     <span class=\"servers\">2 of 2 primaries</span></p>\
                     <p class=\"why\">because MAIN_not_enough_capacity holds: \
                     nbsrv(bk-app-main) = 2, le 2, <span class=\"since\">since ";
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
            ("pid", std::process::id().to_string()),
            ("Up for", "<span data-a=\"0\">1h 12m</span>".into()),
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
        let reload = "<noscript><meta http-equiv=\"refresh\" content=\"1\"></noscript>";
        assert!(page.contains(reload), "{page}");
        assert!(page.contains("<a href=\"/;norefresh\">Stand still</a>"));
    }

    #[test]
    fn its_script_is_told_how_to_follow() {
        let topology = farms();
        let of = |view| page_of(&topology, settings(), view);
        assert!(of(View::default()).contains("data-poll=\"5\" data-live=\"/;live\" data-p="));
        let up = View {
            only_up: true,
            ..View::default()
        };
        assert!(of(up).contains("data-poll=\"5\" data-p="));
        let still = View {
            still: true,
            ..View::default()
        };
        assert!(!of(still).contains("data-poll") && !of(still).contains("data-live"));
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
        assert!(!page.contains("aria-describedby=\"a-b0-0\""));
        assert!(page.contains("aria-describedby=\"a-b0-1\">s2<"));
        assert!(page.contains("<a href=\"/\">Show all servers</a>"));
    }

    #[test]
    fn a_hostile_name_is_only_text() {
        let hostile = "<script>alert(1)</script>\"'&<!--long-->";
        let topology = with_backend(backend(hostile, false, vec![server(hostile, 80, true)]));
        let page = page_of(&topology, settings(), View::default());
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(!page.contains("<!--"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"));
    }

    #[test]
    fn a_page_of_ten_servers_on_a_bad_day_is_light() {
        let servers = (0..10).map(|n| server(&format!("web-{n}"), 8000 + n, n > 6));
        let topology = with_backend(backend("bk", false, servers.collect()));
        (0..10).for_each(|n| pass_check(&topology, 0, n, 4));
        (0..7).for_each(|n| take_down(&topology, 0, n));
        let running = Running::of(topology.clone());
        for _ in 0..100 {
            running.journal.record(Event::RouteChanged {
                frontend: "ft".into(),
                from: "bk (primaries)".into(),
                to: "bk (first backup)".into(),
                route: "bk (default): no primary is usable, backup web-7 takes all".into(),
            });
        }
        for second in 0..400 {
            let sent = u64::from(second % 7 > 3) * 1_000_000;
            for counters in [
                &topology.frontends[0].counters,
                &topology.backends[0].counters,
            ] {
                counters.shard(0).bytes_out.add(sent);
                counters.tick();
            }
        }
        let report = Report::of(
            &running,
            settings().into(),
            View::default(),
            Visitor::ANYONE,
        );
        let size = pieces(report).map(|piece| piece.len()).sum::<usize>();
        assert!(size < 60_000, "{size}");
    }

    #[test]
    fn ten_thousand_servers_come_in_small_pieces() {
        let servers = (0..10_000).map(|n| server(&format!("web-{n}"), 80, n >= 9_000));
        let topology = with_backend(backend("bk", false, servers.collect()));
        let sizes: Vec<_> = pieces(Report::sample(topology))
            .map(|piece| piece.len())
            .collect();
        assert_eq!(sizes.len(), 4 + 3 + 2 + 10_001 + 1);
        let longest_row = sizes[8..10_008].iter().max();
        assert!(longest_row < Some(&2_000), "{longest_row:?}");
    }
}

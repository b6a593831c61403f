//! What a request's path asks for.
//!
//! The words after the page's path are HAProxy's (`src/http_ana.c`, `http_handle_stats`).

use super::orders::Outcome;
use super::row::is_hidden_by_up;
use crate::topology::Server;

/// What a request's path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// The page, or what is asked for in its place.
    Page(View),
    /// `/metrics`: what Prometheus reads.
    Metrics,
    /// `/events.json`: the events with numbers above this one (`?after=`).
    Events(u64),
    /// `/healthz`: whether the process lives.
    Health,
    /// `/readyz`: whether it accepts sessions.
    Readiness,
}

impl Resource {
    /// What `target`, a path with its query, asks for when the page is at `uri`; `None` if
    /// there is no such thing. The page goes first if it is at the place of something else.
    pub fn of(target: &str, uri: &str) -> Option<Self> {
        if let Some(view) = View::of(target, uri) {
            return Some(Self::Page(view));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path {
            "/metrics" => Some(Self::Metrics),
            "/events.json" => Some(Self::Events(after(query))),
            "/healthz" => Some(Self::Health),
            "/readyz" => Some(Self::Readiness),
            _ => None,
        }
    }

    /// Whether it is answered without a user name and a password: those who ask whether the
    /// process lives have none, and learn no more than that.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Health | Self::Readiness)
    }
}

/// The number in `after=NUMBER`; what is no number is the beginning.
fn after(query: &str) -> u64 {
    let number = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("after="));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The page, or what is asked for in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// The form of the answer.
    pub format: Format,
    /// `;norefresh`: the page stays what it is.
    pub still: bool,
    /// `;up`: servers that are down and not coming up are left out.
    pub only_up: bool,
    /// `;no-maint`: servers in maintenance are left out.
    pub no_maintenance: bool,
    /// `;st=DONE`: what became of the order that led here.
    pub outcome: Option<Outcome>,
}

/// The form of the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The page.
    #[default]
    Html,
    /// `;csv`: the statistics fields as CSV.
    Csv,
    /// `;json`: the same as JSON.
    Json,
    /// `;live`: what changes on the page, for as long as it is looked at.
    Live,
}

impl View {
    /// What `target`, a path with its query, asks for; `None` if the page at `uri` is not meant.
    ///
    /// Words that are not known are ignored, as HAProxy does.
    pub fn of(target: &str, uri: &str) -> Option<Self> {
        let words = target.strip_prefix(uri)?;
        if !(words.is_empty() || words.starts_with(SEPARATORS)) {
            return None;
        }
        let asked = |word| words.split(SEPARATORS).any(|w| w == word);
        Some(Self {
            format: match (asked("csv"), asked("json"), asked("live")) {
                (true, _, _) => Format::Csv,
                (false, true, _) => Format::Json,
                (false, false, true) => Format::Live,
                (false, false, false) => Format::Html,
            },
            still: asked("norefresh"),
            only_up: asked("up"),
            no_maintenance: asked("no-maint"),
            outcome: words
                .split(SEPARATORS)
                .find_map(|word| Outcome::of(word.strip_prefix("st=")?)),
        })
    }

    /// Whether the page can be live: that shows every server.
    pub fn can_be_live(self) -> bool {
        !(self.still || self.only_up || self.no_maintenance)
    }

    /// Whether `server` is left out.
    pub fn hides(self, server: &Server) -> bool {
        self.only_up && is_hidden_by_up(server) || self.no_maintenance && server.in_maintenance()
    }

    /// The path of this view of the page at `uri`, without the outcome of an order.
    pub fn path(self, uri: &str) -> String {
        let word = |asked, word| if asked { word } else { "" };
        let format = match self.format {
            Format::Html => "",
            Format::Csv => ";csv",
            Format::Json => ";json",
            Format::Live => ";live",
        };
        let up = word(self.only_up, ";up");
        let there = word(self.no_maintenance, ";no-maint");
        let still = word(self.still, ";norefresh");
        format!("{uri}{format}{up}{there}{still}")
    }
}

const SEPARATORS: [char; 3] = [';', '?', '&'];

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: View = View {
        format: Format::Html,
        still: false,
        only_up: false,
        no_maintenance: false,
        outcome: None,
    };

    #[test]
    fn words_after_the_path() {
        let format = Format::Csv;
        let csv = View { format, ..PAGE };
        let up_and_still = View {
            still: true,
            only_up: true,
            ..PAGE
        };
        assert_eq!(View::of("/", "/"), Some(PAGE));
        assert_eq!(View::of("/;csv", "/"), Some(csv));
        assert!(matches!(
            View::of("/stats;csv;norefresh", "/stats"),
            Some(View {
                format: Format::Csv,
                still: true,
                ..
            })
        ));
        assert_eq!(
            View::of("/stats;up;norefresh", "/stats"),
            Some(up_and_still)
        );
        assert_eq!(View::of("/;nonsense", "/"), Some(PAGE));
        let outcome = Some(Outcome::Done);
        let done = View { outcome, ..PAGE };
        assert_eq!(View::of("/;st=DONE", "/"), Some(done));
        assert_eq!(View::of("/;st=<b>", "/"), Some(PAGE));
        assert_eq!(View::of("/?t=1", "/"), Some(PAGE));
        assert_eq!(View::of("/?;csv", "/"), Some(csv));
    }

    #[test]
    fn the_path_of_haproxys_default_has_a_query() {
        let uri = "/haproxy?stats";
        let csv = View::of("/haproxy?stats;csv", uri).unwrap();
        assert_eq!(csv.format, Format::Csv);
        assert_eq!(View::of("/haproxy", uri), None);
    }

    #[test]
    fn other_paths_are_not_the_page() {
        for target in ["/favicon.ico", "/csv", "//", ""] {
            assert_eq!(View::of(target, "/"), None, "{target:?}");
        }
        for target in ["/", "/stats2", "/stats/", "/stat", "/Stats"] {
            assert_eq!(View::of(target, "/stats"), None, "{target:?}");
        }
    }

    #[test]
    fn a_views_path_asks_for_it() {
        let formats = [Format::Html, Format::Csv, Format::Json, Format::Live];
        for (bits, format) in (0..8).flat_map(|bits| formats.map(|format| (bits, format))) {
            let view = View {
                format,
                still: bits & 1 > 0,
                only_up: bits & 2 > 0,
                no_maintenance: bits & 4 > 0,
                outcome: None,
            };
            assert_eq!(View::of(&view.path("/stats"), "/stats"), Some(view));
        }
    }

    #[test]
    fn what_stands_beside_the_page() {
        let at = |target| Resource::of(target, "/");
        assert_eq!(at("/;csv"), View::of("/;csv", "/").map(Resource::Page));
        assert_eq!(at("/metrics"), Some(Resource::Metrics));
        assert_eq!(at("/metrics?x=1"), Some(Resource::Metrics));
        assert_eq!(at("/events.json"), Some(Resource::Events(0)));
        assert_eq!(at("/events.json?x=1&after=17"), Some(Resource::Events(17)));
        assert_eq!(at("/events.json?after=-1"), Some(Resource::Events(0)));
        assert_eq!(at("/healthz"), Some(Resource::Health));
        assert_eq!(at("/readyz"), Some(Resource::Readiness));
        assert_eq!(at("/metrics/"), None);
        let page = Resource::Page(PAGE);
        assert_eq!(Resource::of("/metrics", "/metrics"), Some(page));
    }
}

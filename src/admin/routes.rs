//! A card for each frontend: where its new sessions go now, why, and since when.

use maud::{Markup, html};

use super::Report;
use super::chart::{charts, marks};
use super::overview::refuses;
use crate::events::Event;
use crate::explain::{Route, Routes, servers_in_use};
use crate::topology::usable::Mode;
use crate::topology::{Frontend, Topology};

/// The card of a frontend.
pub fn card(id: &str, frontend: &Frontend, report: &Report) -> Markup {
    let topology = &*report.topology;
    let routes = Routes::of(frontend, topology);
    let usual = Usual::of(frontend, &routes, topology);
    html! {
        div.route.(usual.word()) id=(id) {
            @for route in &routes.for_some {
                p.way { (frontend_link(frontend)) " → " (backend_link(route)) }
                p.why { "for some clients: " (route.because()) }
            }
            p.way {
                (frontend_link(frontend))
                @if !routes.for_some.is_empty() { span { " otherwise" } }
                " → "
                @match &routes.otherwise {
                    Some(route) => (backend_link(route)),
                    None => b { "refused" },
                }
            }
            p.why { "because " (why(&routes)) (since(frontend, report)) }
        }
    }
}

fn frontend_link(frontend: &Frontend) -> Markup {
    html! { a href={ "#f" (frontend.id.0) } { (frontend.config.name) } }
}

fn backend_link(route: &Route<'_>) -> Markup {
    html! {
        a href={ "#b" (route.backend.id.0) } { b { (route.backend.config.name) } }
        span.servers { (servers_in_use(route.backend)) }
    }
}

/// Why sessions go where they go, those of all clients that not only some rules are about.
pub fn why(routes: &Routes<'_>) -> String {
    let route = routes.otherwise.as_ref();
    route.map_or_else(
        || "no rule applies and there is no default_backend".to_owned(),
        Route::because,
    )
}

fn since(frontend: &Frontend, report: &Report) -> Markup {
    let age = frontend
        .routed_since()
        .map(|since| report.moment.since(since));
    html! {
        @if let Some(age) = age {
            ", " span.since { "since " (report.moment.clock(age)) ", for " (report.moment.age(age)) }
        }
    }
}

/// Whether all is as the configuration's first choice has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usual {
    /// It is: the default backend's primaries.
    Yes,
    /// A rule, a backup or another tier is in use.
    No,
    /// Sessions are refused.
    Refused,
}

impl Usual {
    /// That of `frontend` with its `routes`.
    pub fn of(frontend: &Frontend, routes: &Routes<'_>, topology: &Topology) -> Self {
        if refuses(frontend, topology) {
            return Self::Refused;
        }
        let route = routes.otherwise.as_ref();
        let usual = route.is_some_and(|route| {
            Some(route.backend.id) == frontend.config.default_backend
                && matches!(route.backend.usable().mode(), Mode::Primaries)
        });
        if usual { Self::Yes } else { Self::No }
    }

    /// The word for it, which is the class on the page too.
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "ok",
            Self::No => "warn",
            Self::Refused => "bad",
        }
    }
}

/// The charts of a frontend; what is marked is where its sessions began to go elsewhere.
pub fn frontend_charts(id: &str, frontend: &Frontend, report: &Report) -> Markup {
    let name = &*frontend.config.name;
    let marks = marks(&report.records, report.moment.wall(), |record| {
        matches!(record.event, Event::RouteChanged { .. }) && record.event.subject() == name
    });
    charts(id, &frontend.counters.recent(), &marks)
}

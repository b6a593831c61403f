//! The parts of the page that change while it is looked at.
//!
//! Each is one element with an id of its own. The page is put together from them, and the live
//! page gets those anew that have changed: there is one place that writes HTML, and everything
//! that it writes is escaped.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use maud::Markup;

use super::Report;
use super::facts;
use super::routes;
use super::row::Row;
use super::script::SCRIPT;
use super::style::STYLE;
use super::table;
use super::timeline::timeline;
use crate::topology::Topology;

/// A part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The title of the document.
    Title,
    /// The state of everything in a few words.
    State,
    /// Facts about the process.
    Facts,
    /// The servers that are not as they should be.
    Troubles,
    /// The last events.
    Events,
    /// Where the sessions of the frontend with this index go.
    Route(usize),
    /// The charts of this frontend.
    FrontendCharts(usize),
    /// The row of this frontend.
    Frontend(usize),
    /// Which servers of the backend with this index are in use.
    InUse(usize),
    /// The charts of this backend.
    BackendCharts(usize),
    /// The row of a server, by the indices of its backend and of itself; the row after the last
    /// server is the backend's total.
    Farm(usize, usize),
}

impl Part {
    /// Every part of a page about `topology`.
    pub fn all(topology: &Topology) -> impl Iterator<Item = Self> + Send + use<> {
        let farms: Vec<_> = topology.backends.iter().map(|b| b.servers.len()).collect();
        let frontends = (0..topology.frontends.len())
            .flat_map(|f| [Self::Route(f), Self::FrontendCharts(f), Self::Frontend(f)]);
        let backends = farms.into_iter().enumerate().flat_map(|(b, servers)| {
            let farm = (0..=servers).map(move |s| Self::Farm(b, s));
            [Self::InUse(b), Self::BackendCharts(b)]
                .into_iter()
                .chain(farm)
        });
        let whole = [
            Self::Title,
            Self::State,
            Self::Facts,
            Self::Troubles,
            Self::Events,
        ];
        whole.into_iter().chain(frontends).chain(backends)
    }

    /// The id of its element.
    pub fn id(self) -> String {
        match self {
            Self::Title => "title".into(),
            Self::State => "state".into(),
            Self::Facts => "facts".into(),
            Self::Troubles => "troubles".into(),
            Self::Events => "events".into(),
            Self::Route(frontend) => format!("r{frontend}"),
            Self::FrontendCharts(frontend) => format!("g{frontend}"),
            Self::Frontend(frontend) => format!("f{frontend}"),
            Self::InUse(backend) => format!("u{backend}"),
            Self::BackendCharts(backend) => format!("h{backend}"),
            Self::Farm(backend, server) => format!("b{backend}-{server}"),
        }
    }

    /// Its element.
    pub fn markup(self, report: &Report) -> Markup {
        let topology = &*report.topology;
        let (id, moment) = (self.id(), report.moment);
        match self {
            Self::Title => report.overview.title(),
            Self::State => report.overview.badge(),
            Self::Facts => facts::list(&id, report),
            Self::Troubles => report.overview.troubles(moment),
            Self::Events => timeline(&id, &report.records, moment),
            Self::Route(index) => routes::card(&id, &topology.frontends[index], report),
            Self::FrontendCharts(index) => {
                routes::frontend_charts(&id, &topology.frontends[index], report)
            }
            Self::Frontend(index) => table::frontend(&id, topology, &topology.frontends[index]),
            Self::InUse(index) => {
                let backend = &topology.backends[index];
                table::servers(&id, backend, report.overview.senders(backend.id))
            }
            Self::BackendCharts(index) => {
                table::backend_charts(&id, &topology.backends[index], report)
            }
            Self::Farm(backend, server) => {
                let backend = &topology.backends[backend];
                let row = match backend.servers.get(server) {
                    Some(server) => Row::server(topology, backend, server, moment.now),
                    None => Row::backend(topology, backend, moment.now),
                };
                table::farm_row(&id, &row, backend, report)
            }
        }
    }
}

/// A number for which part is what, and how it is shown. A page with another number has to be
/// loaded again: the configuration or the program has changed.
pub fn shape(topology: &Topology) -> u32 {
    let mut hasher = DefaultHasher::new();
    (&SCRIPT.source, &STYLE.source).hash(&mut hasher);
    for frontend in &topology.frontends {
        frontend.config.name.hash(&mut hasher);
    }
    for backend in &topology.backends {
        (&backend.config.name, backend.servers.len()).hash(&mut hasher);
        for server in &backend.servers {
            server.config.name.hash(&mut hasher);
        }
    }
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::topology::sample::{farms, single_farm, take_down};

    #[test]
    fn every_part_is_an_element_with_its_id() {
        let report = Report::sample(farms());
        let mut ids = HashSet::new();
        for part in Part::all(&report.topology) {
            let markup = part.markup(&report).0;
            let (tag, _) = markup.split_once('>').unwrap();
            assert!(tag.ends_with(&format!(" id=\"{}\"", part.id())), "{markup}");
            assert!(ids.insert(part.id()), "{part:?}");
        }
        assert_eq!(ids.len(), 5 + 3 + 2 * 2 + 8 + 2);
    }

    #[test]
    fn the_shape_is_that_of_the_configuration() {
        let topology = single_farm(false);
        let before = shape(&topology);
        take_down(&topology, 0, 0);
        assert_eq!(shape(&topology), before);
        assert_ne!(shape(&farms()), before);
    }
}

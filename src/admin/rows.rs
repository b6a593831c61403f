//! The rows of the statistics, in HAProxy's order: each frontend, then each backend's servers
//! and its total.

use std::sync::Arc;
use std::time::Instant;

use super::row::{Kind, Row};
use super::view::View;
use crate::topology::{Server, Topology};

/// Which rows are wanted, and of what.
#[derive(Debug, Clone)]
pub struct Selection {
    /// What is reported on.
    pub topology: Arc<Topology>,
    /// The moment that ages are counted to.
    pub now: Instant,
    /// Which servers are left out.
    pub view: View,
    /// Only the proxy with this number.
    pub proxy: Option<u32>,
    /// Only these kinds: 1 for frontends, 2 for backends, 4 for servers, added up.
    pub kinds: u32,
    /// Only the server with this number in its backend.
    pub server: Option<u32>,
}

impl Selection {
    /// Every row of `topology`.
    pub fn all(topology: Arc<Topology>, now: Instant) -> Self {
        Self {
            topology,
            now,
            view: View::default(),
            proxy: None,
            kinds: 7,
            server: None,
        }
    }

    /// What `write` makes of each selected row, one after the other.
    pub fn rows(
        self,
        mut write: impl FnMut(&Row<'_>) -> String + Send + 'static,
    ) -> impl Iterator<Item = String> + Send + 'static {
        let places = self.places();
        places.filter_map(move |place| self.row(place).map(|row| write(&row)))
    }

    /// Where every row comes from: a frontend, or a server of a backend, or with a position
    /// after the last server the backend itself.
    fn places(&self) -> impl Iterator<Item = Place> + Send + use<> {
        let topology = Arc::clone(&self.topology);
        let frontends = (0..topology.frontends.len()).map(Place::Frontend);
        let backends = (0..topology.backends.len()).flat_map(move |backend| {
            let servers = topology.backends[backend].servers.len();
            (0..=servers).map(move |server| Place::Farm(backend, server))
        });
        frontends.chain(backends)
    }

    fn row(&self, place: Place) -> Option<Row<'_>> {
        let topology = &*self.topology;
        let row = match place {
            Place::Frontend(index) => Row::frontend(topology, &topology.frontends[index]),
            Place::Farm(backend, server) => {
                let backend = &topology.backends[backend];
                match backend.servers.get(server) {
                    None => Row::backend(topology, backend, self.now),
                    Some(server) if self.hides(server) => return None,
                    Some(server) => Row::server(topology, backend, server, self.now),
                }
            }
        };
        self.wants(&row).then_some(row)
    }

    fn hides(&self, server: &Server) -> bool {
        self.view.hides(server)
    }

    fn wants(&self, row: &Row<'_>) -> bool {
        let kind = match row.kind {
            Kind::Frontend => 1,
            Kind::Backend => 2,
            Kind::Server => 4,
        };
        self.kinds & kind != 0
            && self.proxy.is_none_or(|number| number == row.proxy_number)
            && self.server.is_none_or(|number| number == row.server_number)
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Frontend(usize),
    Farm(usize, usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sample::{farms, single_farm, take_down};
    use crate::topology::status::State;

    fn names(selection: Selection) -> Vec<String> {
        selection
            .rows(|row| format!("{}/{}", row.proxy, row.name))
            .collect()
    }

    fn all() -> Selection {
        Selection::all(single_farm(false), Instant::now())
    }

    #[test]
    fn frontends_then_servers_and_totals() {
        let wanted = [
            "ft/FRONTEND",
            "bk/s1",
            "bk/s2",
            "bk/s3",
            "bk/s4",
            "bk/BACKEND",
        ];
        assert_eq!(names(all()), wanted);
        assert_eq!(
            names(Selection::all(farms(), Instant::now())).len(),
            1 + 2 * 5
        );
    }

    #[test]
    fn kinds_proxies_and_servers() {
        assert_eq!(
            names(Selection { kinds: 3, ..all() }),
            ["ft/FRONTEND", "bk/BACKEND"]
        );
        let third = Selection {
            proxy: Some(3),
            server: Some(3),
            ..all()
        };
        assert_eq!(names(third), ["bk/s3"]);
        let none = Selection {
            proxy: Some(9),
            ..all()
        };
        assert!(names(none).is_empty());
    }

    #[test]
    fn servers_that_are_down_or_taken_out() {
        let mut selection = all();
        take_down(&selection.topology, 0, 0);
        let second = &selection.topology.backends[0].servers[1];
        second.update(|status| status.change(State::Maintenance, Instant::now()));
        selection.kinds = 4;
        let mut up = selection.clone();
        up.view.only_up = true;
        assert_eq!(names(up), ["bk/s2", "bk/s3", "bk/s4"]);
        let mut there = selection;
        there.view.no_maintenance = true;
        assert_eq!(names(there), ["bk/s1", "bk/s3", "bk/s4"]);
    }
}

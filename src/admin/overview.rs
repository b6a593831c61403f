//! What somebody who was woken up wants to know first: is anything broken, what, since when and
//! why.

use maud::{Markup, html};

use super::figures::grouped;
use super::moment::Moment;
use super::row::Standing;
use super::style::Colour;
use crate::explain::Routes;
use crate::id::BackendId;
use crate::topology::status::ServerStatus;
use crate::topology::usable::Mode;
use crate::topology::{Backend, Frontend, Server, Topology};

/// How many servers in trouble are named.
const NAMED: usize = 12;

/// The state of the whole process.
#[derive(Debug, Default)]
pub struct Overview {
    /// Frontends whose sessions are refused.
    refusing: Vec<String>,
    /// For each backend, the frontends whose new sessions go there now.
    senders: Vec<Vec<String>>,
    servers: usize,
    /// Servers that cannot be given new sessions.
    out: usize,
    /// The first servers that are not as they should be.
    troubles: Vec<Trouble>,
    /// How many more there are.
    more: usize,
}

/// A server that is not as it should be.
#[derive(Debug)]
struct Trouble {
    /// `backend/server`.
    server: String,
    backup: bool,
    standing: Standing,
    status: ServerStatus,
}

impl Overview {
    /// The state of `topology` now.
    pub fn of(topology: &Topology) -> Self {
        let refusing = topology.frontends.iter().filter(|f| refuses(f, topology));
        let mut overview = Self {
            refusing: refusing.map(|f| f.config.name.clone()).collect(),
            senders: vec![Vec::new(); topology.backends.len()],
            ..Self::default()
        };
        for frontend in &topology.frontends {
            let routes = Routes::of(frontend, topology);
            for route in routes.for_some.iter().chain(&routes.otherwise) {
                let senders = &mut overview.senders[route.backend.id.index()];
                if senders.last() != Some(&frontend.config.name) {
                    senders.push(frontend.config.name.clone());
                }
            }
        }
        topology.servers().for_each(|server| overview.add(server));
        overview
    }

    fn add(&mut self, server: &Server) {
        self.servers += 1;
        let status = server.status();
        let standing = Standing::of(&status, status.weight_or(server.config.weight));
        // One that is new may not have been checked yet.
        let is_failing = standing == Standing::GoingDown && check_failed(&status);
        let is_out = !matches!(
            standing,
            Standing::Up | Standing::Unchecked | Standing::GoingDown
        );
        self.out += usize::from(is_out);
        if !is_out && !is_failing {
            return;
        }
        if self.troubles.len() == NAMED {
            self.more += 1;
            return;
        }
        self.troubles.push(Trouble {
            server: server.path.clone(),
            backup: server.config.backup,
            standing,
            status,
        });
    }

    /// The frontends whose new sessions go to a backend now, those of some clients at least.
    pub fn senders(&self, backend: BackendId) -> &[String] {
        &self.senders[backend.index()]
    }

    /// The state in a few words.
    pub fn words(&self) -> String {
        let servers = grouped(self.servers as u64);
        match (&*self.refusing, self.out) {
            ([], 0) => format!("All {servers} servers are available"),
            ([], 1) => format!("1 of {servers} servers is not available"),
            ([], out) => format!(
                "{} of {servers} servers are not available",
                grouped(out as u64)
            ),
            ([frontend], _) => format!("{frontend} has no server"),
            (several, _) => format!("{} frontends have no server", several.len()),
        }
    }

    /// The title of the page: what is wrong comes first, as tabs are narrow.
    pub fn title(&self) -> Markup {
        html! {
            title id="title" {
                @if self.class() != "ok" { "(!) " (self.words()) " · " }
                "Backstop statistics"
            }
        }
    }

    /// The state in a few words, for the top of the page.
    pub fn badge(&self) -> Markup {
        html! { p.badge.(self.class()) id="state" { (self.words()) } }
    }

    fn class(&self) -> &'static str {
        match (self.refusing.is_empty(), self.troubles.is_empty()) {
            (false, _) => "bad",
            (true, false) => "warn",
            (true, true) => "ok",
        }
    }

    /// The servers that are not as they should be, each with since when and why.
    pub fn troubles(&self, moment: Moment) -> Markup {
        html! {
            ul.troubles id="troubles" {
                @for trouble in &self.troubles { (trouble.markup(moment)) }
                @if self.more > 0 { li { "and " (grouped(self.more as u64)) " more" } }
                @if self.troubles.is_empty() { li { "Every server is as it should be." } }
            }
        }
    }
}

impl Trouble {
    fn markup(&self, moment: Moment) -> Markup {
        let age = moment.since(self.status.since);
        let colour = Colour::of(self.standing, self.backup);
        html! {
            li {
                span.state.(colour.class) { (self.status) }
                b { (self.server) }
                span { " since " (moment.clock(age)) ", for " (moment.age(age)) }
                p { (self.why()) }
            }
        }
    }

    fn why(&self) -> String {
        let failing = self.status.last_check.as_ref();
        match (self.standing, self.status.hold) {
            (Standing::Drain, Some(hold)) => hold.reason.to_string(),
            (Standing::GoingDown, _) => failing.map_or_else(String::new, |check| {
                let what = check.status.description();
                match &*check.info {
                    "" => format!("Checks fail: {what}"),
                    info => format!("Checks fail: {what}: {info}"),
                }
            }),
            _ => self.status.cause.clone().unwrap_or_default(),
        }
    }
}

fn check_failed(status: &ServerStatus) -> bool {
    let last = status.last_check.as_ref();
    last.is_some_and(|check| !check.status.passed())
}

/// Whether new sessions of a frontend are refused, those of clients at least that no rule is
/// about.
pub fn refuses(frontend: &Frontend, topology: &Topology) -> bool {
    let route = Routes::of(frontend, topology).otherwise;
    route.is_none_or(|route| is_empty(route.backend))
}

fn is_empty(backend: &Backend) -> bool {
    backend.usable().mode() == Mode::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sample::{
        backend, farms, pass_check, server, single_farm, take_down, with_backend, without_default,
    };
    use crate::topology::status::CheckStatus;

    fn troubles(topology: &Topology) -> String {
        let moment = Moment::of(topology.started);
        Overview::of(topology).troubles(moment).0
    }

    #[test]
    fn all_is_well() {
        let topology = farms();
        let overview = Overview::of(&topology);
        assert_eq!(overview.words(), "All 8 servers are available");
        assert_eq!(
            overview.title().0,
            "<title id=\"title\">Backstop statistics</title>"
        );
        assert!(troubles(&topology).contains("as it should be"));
    }

    #[test]
    fn what_died_is_named_with_since_when_and_why() {
        let topology = single_farm(false);
        take_down(&topology, 0, 0);
        let overview = Overview::of(&topology);
        assert_eq!(overview.words(), "1 of 4 servers is not available");
        assert!(
            overview.badge().0.contains("warn"),
            "{}",
            overview.badge().0
        );
        let shown = troubles(&topology);
        assert!(
            shown.contains("DOWN</span><b>bk/s1</b><span> since "),
            "{shown}"
        );
        let why = "<p>Layer4 connection problem: Connection refused (in 2ms)</p>";
        assert!(shown.contains(why), "{shown}");
    }

    #[test]
    fn a_check_that_fails_is_told_before_the_server_is_down() {
        let topology = single_farm(false);
        pass_check(&topology, 0, 0, 3);
        topology.backends[0].servers[0].update(|status| {
            let check = status.last_check.as_mut().unwrap();
            check.status = CheckStatus::L4Timeout;
        });
        let overview = Overview::of(&topology);
        assert_eq!(overview.words(), "All 4 servers are available");
        let shown = troubles(&topology);
        assert!(
            shown.contains("<p>Checks fail: Layer4 timeout</p>"),
            "{shown}"
        );
    }

    #[test]
    fn sessions_that_are_refused_come_first() {
        let topology = single_farm(false);
        (0..4).for_each(|position| take_down(&topology, 0, position));
        let overview = Overview::of(&topology);
        assert_eq!(overview.words(), "ft has no server");
        assert!(overview.title().0.contains("(!) ft has no server"));
        assert_eq!(
            Overview::of(&without_default()).words(),
            "ft-app has no server"
        );
    }

    #[test]
    fn of_many_only_the_first_are_named() {
        let servers = (0..40).map(|n| server(&format!("s{n}"), 80, false));
        let topology = with_backend(backend("bk", false, servers.collect()));
        (0..39).for_each(|position| take_down(&topology, 0, position));
        let shown = troubles(&topology);
        assert_eq!(shown.matches("<b>bk/").count(), NAMED);
        assert!(shown.contains("<li>and 27 more</li>"), "{shown}");
    }
}

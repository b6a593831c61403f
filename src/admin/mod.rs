//! What people and their tools see of the running proxy over HTTP.
//!
//! Everything here only reads, but for orders to servers, which the supervisor carries out. The
//! way of one request:
//!
//! - [`thread`]: the thread that all of this runs on, which makes way for others.
//! - [`http`]: connections, bounded in time, and in number by their [`places`].
//! - [`refusals`]: those that are refused, counted and logged.
//! - [`answer`]: who may ask for what, and the headers of each answer.
//! - [`auth`]: the user name and the password. [`password`]: whether it is right. [`tries`]: how
//!   many wrong ones are looked at.
//! - [`origin`]: whether a change comes from the page itself. [`form`]: what is to be changed.
//!   [`orders`]: its way to the supervisor.
//! - [`view`]: what the request's path asks for.
//! - [`row`]: the facts of one frontend, server or backend, the same for every format;
//!   [`rows`]: all of them in order.
//! - [`fields`], [`csv`] and [`json`]: HAProxy's statistics fields, and their two forms.
//! - [`metrics`]: what Prometheus reads. [`health`]: what orchestrators ask.
//! - [`reloads`]: how reloads of the configuration went.
//! - [`page`]: the HTML page, put together from its [`parts`]: [`overview`], [`facts`],
//!   [`routes`], [`timeline`], [`chart`] and [`table`] with its [`columns`].
//! - [`live`] and [`stream`]: the parts that have changed, for pages that are looked at;
//!   [`deadline`]: when a connection that makes no progress ends.
//! - [`controls`]: what changes servers, for those who may.
//! - [`style`], [`script`], [`embedded`]: what the page needs beside its HTML.
//!   [`moment`] and [`figures`]: times and numbers.
//! - [`body`]: long answers a piece at a time, so that other tasks of the thread get their turn.

pub mod answer;
pub mod auth;
pub mod body;
pub mod chart;
pub mod columns;
pub mod controls;
pub mod csv;
pub mod deadline;
pub mod embedded;
pub mod facts;
pub mod fields;
pub mod figures;
pub mod form;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod health;
pub mod http;
pub mod json;
pub mod live;
pub mod metrics;
pub mod moment;
pub mod orders;
pub mod origin;
pub mod overview;
pub mod page;
pub mod parts;
pub mod password;
mod places;
pub mod refusals;
pub mod reloads;
pub mod routes;
pub mod row;
pub mod rows;
pub mod script;
pub mod stream;
pub mod style;
pub mod table;
pub mod thread;
pub mod timeline;
pub mod tries;
pub mod view;

use std::sync::Arc;
use std::time::SystemTime;

use self::auth::Visitor;
use self::health::Readiness;
use self::live::Live;
use self::moment::Moment;
use self::overview::Overview;
use self::refusals::Refusals;
use self::reloads::Reloads;
use self::view::View;
use crate::config::StatsConfig;
use crate::config::operation::EventsConfig;
use crate::counters::Counters;
use crate::events::{Journal, Record};
use crate::hooks::HookCounts;
use crate::topology::{Current, Topology};

/// The running proxy at one moment, as those see it who only look.
#[derive(Debug, Clone)]
pub struct Running {
    current: Current,
    /// What ran at that moment.
    pub topology: Arc<Topology>,
    /// What happened.
    pub journal: Journal,
    /// What hooks have done.
    pub hooks: HookCounts,
    /// How far it has come.
    pub readiness: Readiness,
    /// Who was refused at the stats page.
    pub refusals: Refusals,
    /// Who is looking at its live page.
    pub live: Live,
    /// How reloads went.
    pub reloads: Reloads,
}

impl Running {
    /// The proxy at this moment.
    pub fn new(current: Current, journal: Journal, readiness: Readiness) -> Self {
        Self {
            topology: current.get(),
            current,
            journal,
            hooks: HookCounts::default(),
            readiness,
            refusals: Refusals::default(),
            live: Live::default(),
            reloads: Reloads::default(),
        }
    }

    /// A proxy of which nothing is known but its topology.
    pub fn of(topology: Arc<Topology>) -> Self {
        let journal = Journal::new(EventsConfig::default().size, None);
        Self::new(Current::new(topology), journal, Readiness::default())
    }

    /// The same proxy at this moment. One answer is made of one moment.
    #[must_use]
    pub fn latest(&self) -> Self {
        Self {
            topology: self.current.get(),
            ..self.clone()
        }
    }

    /// How many worker threads there are.
    pub fn workers(&self) -> usize {
        let first = self.topology.frontends.first();
        first.map_or(0, |frontend| frontend.counters.workers())
    }

    /// A number summed over all frontends, those included that are removed.
    pub fn sum(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        let frontends = self.topology.frontends.iter();
        let here: u64 = frontends.map(|frontend| of(&frontend.counters)).sum();
        here + self.topology.retired.sum(of)
    }

    /// When the process began, in seconds of Unix time.
    pub fn began(&self) -> u64 {
        let began = SystemTime::now() - self.topology.started.elapsed();
        began
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

/// What one page is made from.
#[derive(Debug)]
pub struct Report {
    /// What is reported on.
    pub topology: Arc<Topology>,
    /// How the page is served.
    pub settings: Arc<StatsConfig>,
    /// What was asked for.
    pub view: View,
    /// Who asks.
    pub visitor: Visitor,
    /// When.
    pub moment: Moment,
    /// The state of everything.
    pub overview: Overview,
    /// The last events, the newest last.
    pub records: Vec<Arc<Record>>,
}

/// How many events are looked at for a page: those that it lists, and those that are marked in
/// its charts.
const RECORDS: usize = 64;

impl Report {
    /// A report on what is `running`.
    pub fn of(running: &Running, settings: Arc<StatsConfig>, view: View, visitor: Visitor) -> Self {
        let topology = Arc::clone(&running.topology);
        Self {
            moment: Moment::of(topology.started),
            overview: Overview::of(&topology),
            records: running.journal.latest(RECORDS),
            topology,
            settings,
            view,
            visitor,
        }
    }

    /// Whether whoever asks may change servers.
    pub fn may_change(&self) -> bool {
        self.settings.admin && self.visitor.may_change
    }

    /// The same for a page that is shown already and has a script.
    #[must_use]
    pub fn for_script(self) -> Self {
        Self {
            moment: self.moment.for_script(),
            ..self
        }
    }

    /// A report on a made-up topology.
    #[cfg(test)]
    pub(crate) fn sample(topology: Arc<Topology>) -> Self {
        let settings = crate::topology::sample::settings();
        let (view, visitor) = (View::default(), Visitor::ANYONE);
        Self::of(&Running::of(topology), settings.into(), view, visitor)
    }
}

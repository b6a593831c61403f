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
//! - [`page`], [`table`], [`columns`], [`style`], [`figures`]: the HTML page.
//! - [`body`]: long answers a piece at a time, so that other tasks of the thread get their turn.

pub mod answer;
pub mod auth;
pub mod body;
pub mod columns;
pub mod csv;
pub mod fields;
pub mod figures;
pub mod form;
pub mod health;
pub mod http;
pub mod json;
pub mod metrics;
pub mod orders;
pub mod origin;
pub mod page;
pub mod password;
mod places;
pub mod refusals;
pub mod row;
pub mod rows;
pub mod style;
pub mod table;
pub mod thread;
pub mod tries;
pub mod view;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use self::auth::Visitor;
use self::health::Readiness;
use self::refusals::Refusals;
use self::view::View;
use crate::config::StatsConfig;
use crate::config::operation::EventsConfig;
use crate::counters::Counters;
use crate::events::Journal;
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

    /// A number summed over all frontends.
    pub fn sum(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        let frontends = self.topology.frontends.iter();
        frontends.map(|frontend| of(&frontend.counters)).sum()
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
#[derive(Debug, Clone)]
pub struct Report {
    /// What is reported on.
    pub topology: Arc<Topology>,
    /// How the page is served.
    pub settings: Arc<StatsConfig>,
    /// What was asked for.
    pub view: View,
    /// Who asks.
    pub visitor: Visitor,
    /// The moment that ages are counted to.
    pub now: Instant,
}

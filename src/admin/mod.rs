//! What people and their tools see of the running proxy over HTTP.
//!
//! Everything here only reads. The way of one request:
//!
//! - [`http`]: connections, bounded in number and in time.
//! - [`refusals`]: log lines about those that are refused.
//! - [`answer`]: who may ask for what, and the headers of each answer.
//! - [`auth`]: the user name and the password.
//! - [`view`]: what the request's path asks for.
//! - [`row`]: the facts of one frontend, server or backend, the same for every format.
//! - [`fields`] and [`csv`]: `HAProxy`'s statistics fields, and their CSV form.
//! - [`page`], [`table`], [`columns`], [`style`], [`figures`]: the HTML page.
//! - [`body`]: long answers a piece at a time, so that other tasks of the thread get their turn.

pub mod answer;
pub mod auth;
pub mod body;
pub mod columns;
pub mod csv;
pub mod fields;
pub mod figures;
pub mod http;
pub mod page;
pub mod refusals;
pub mod row;
pub mod style;
pub mod table;
pub mod view;

use std::sync::Arc;
use std::time::Instant;

use self::view::View;
use crate::config::StatsConfig;
use crate::topology::Topology;

/// What one answer is made from.
#[derive(Debug, Clone)]
pub struct Report {
    /// What is reported on.
    pub topology: Arc<Topology>,
    /// How the page is served.
    pub settings: Arc<StatsConfig>,
    /// What was asked for.
    pub view: View,
    /// The moment that ages are counted to.
    pub now: Instant,
}

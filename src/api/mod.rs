//! The runtime API: HAProxy's command line on a Unix socket (management.txt, "Unix Socket
//! commands").
//!
//! It runs on the control thread, where state may be changed; a long answer is written a piece
//! at a time, so that checks get their turn. The way of one command:
//!
//! - [`socket`]: the socket's file, whose it is and who may open it.
//! - [`serve`]: connections, bounded in number, in the length of a line and in time.
//! - [`words`]: a line to commands, a command to words.
//! - [`command`]: every command, and who may give it.
//! - [`show`], [`info`], [`routes`], [`state`], [`sessions`], [`events`]: those that look.
//! - [`change`], [`server`]: those that change something. [`reload`]: those for the process.

pub mod change;
pub mod command;
pub mod events;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod info;
pub mod reload;
pub mod routes;
pub mod serve;
pub mod server;
pub mod sessions;
pub mod show;
pub mod socket;
pub mod state;
pub mod words;

use std::rc::Rc;
use std::sync::Arc;

use self::reload::Asks;
use crate::admin::Running;
use crate::proxy::Sessions;
use crate::supervisor::Supervisor;
use crate::topology::{Backend, Frontend, Server};

/// What commands look at and act on.
#[derive(Debug, Clone)]
pub struct Api {
    /// The running proxy, at the moment of the command.
    pub running: Running,
    /// The one who changes servers' states.
    pub supervisor: Rc<Supervisor>,
    /// The way to sessions.
    pub sessions: Sessions,
    /// The way to the process.
    pub asks: Asks,
}

/// What is said when a word names nothing that exists; the texts are HAProxy's.
pub type Refusal = &'static str;

impl Api {
    /// The same at this moment.
    #[must_use]
    pub fn latest(&self) -> Self {
        Self {
            running: self.running.latest(),
            ..self.clone()
        }
    }

    fn frontend(&self, name: Option<&str>) -> Result<&Arc<Frontend>, Refusal> {
        let name = name.ok_or("A frontend name is expected.")?;
        let mut frontends = self.running.topology.frontends.iter();
        let named = frontends.find(|frontend| frontend.config.name == name);
        named.ok_or("No such frontend.")
    }

    fn backend(&self, name: &str) -> Option<&Arc<Backend>> {
        let mut backends = self.running.topology.backends.iter();
        backends.find(|backend| backend.config.name == name)
    }

    /// The server that `backend/server` names.
    fn server(&self, path: Option<&str>) -> Result<&Arc<Server>, Refusal> {
        let path = path.and_then(|path| path.split_once('/'));
        let (backend, name) = path.ok_or("Require 'backend/server'.")?;
        let backend = self.backend(backend).ok_or("No such backend.")?;
        let mut servers = backend.servers.iter();
        let named = servers.find(|server| server.config.name == name);
        named.ok_or("No such server.")
    }
}

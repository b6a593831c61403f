//! Who a session's client is, and why it is not served if it is not.

use std::net::SocketAddr;

use super::Account;
use crate::proxy_header::Told;
use crate::topology::guard::Refusal;

impl Account {
    /// Has the session be that of the client that a PROXY header tells of.
    pub(in crate::proxy) fn set_told(&mut self, told: Told) {
        self.client = told.client;
        self.worker.sessions.set_client(self.key, told.client);
        self.told = Some(Box::new(told));
    }

    /// Where the client has connected to, if a PROXY header has told of it.
    pub(in crate::proxy) fn told_local(&self) -> Option<SocketAddr> {
        self.told.as_ref().map(|told| told.local)
    }

    /// Counts why the client is not served.
    pub(in crate::proxy) fn refuse(&mut self, refusal: Refusal) {
        self.frontend.door.refusals.count(self.worker.id, refusal);
        self.refused = Some(refusal);
    }
}

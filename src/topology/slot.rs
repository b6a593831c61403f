//! Servers that take one of several addresses of a name, or wait for one (HAProxy's
//! `server-template`).

use super::status::{Admin, AgentVerdict, Checking, ServerStatus, State};
use crate::health::flap::Bounces;
use crate::health::judge::CheckHealth;

/// What an SRV record says of the server that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceRecord {
    /// The name of the machine.
    pub target: String,
    /// Its share of sessions, 0 to 256.
    pub weight: u16,
}

/// Whether one of the servers of a template has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Yes; so has every other server, or it is down for want of one.
    Taken,
    /// It has had one for a moment, and its check has to say first whether it serves.
    Arriving,
    /// No: its name has fewer addresses. It waits for one.
    Vacant,
}

impl ServerStatus {
    /// Its share of sessions: what somebody has set, else what its SRV record says, else the
    /// `configured` one.
    pub fn weight_or(&self, configured: u16) -> u16 {
        let recorded = self.record.as_ref().map(|record| record.weight);
        self.weight.or(recorded).unwrap_or(configured)
    }

    /// Whether it is not to be checked now.
    pub fn is_unattended(&self) -> bool {
        let arrives =
            self.slot == Slot::Arriving && self.admin.max(self.agent.admin) < Admin::Maintenance;
        self.checking == Checking::Unwanted || (self.state == State::Maintenance && !arrives)
    }

    /// Whether it is in maintenance for no other reason than that its name has no address for it.
    pub fn awaits_address(&self) -> bool {
        let wanted = self.admin.max(self.agent.admin);
        self.slot != Slot::Taken && wanted < Admin::Maintenance
    }

    /// Takes that it has an address, of which nothing is known but `record`.
    pub fn occupy(&mut self, record: Option<ServiceRecord>) {
        (self.slot, self.record, self.unresolved) = (Slot::Taken, record, false);
    }

    /// Forgets all that was known of the machine at its address, which it has no longer.
    pub fn vacate(&mut self, check: Option<CheckHealth>) {
        (self.slot, self.record) = (Slot::Vacant, None);
        (self.check, self.last_check) = (check, None);
        self.agent = AgentVerdict::default();
        (self.hold, self.slowstart) = (None, None);
        self.was_silent = false;
        self.bounces = Bounces::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn who_waits_for_an_address_is_in_maintenance_and_not_checked() {
        let mut status = ServerStatus::new(None, Instant::now());
        status.vacate(None);
        status.change(status.effective(), Instant::now());
        assert_eq!(status.state, State::Maintenance);
        assert_eq!(status.to_string(), "MAINT (resolution)");
        assert!(status.is_unattended());
        status.slot = Slot::Arriving;
        assert!(!status.is_unattended());
        status.admin = Admin::Maintenance;
        assert!(status.is_unattended());
        assert_eq!(status.to_string(), "MAINT");
        status.admin = Admin::Ready;
        status.occupy(None);
        assert_eq!(status.effective(), State::Unchecked);
    }
}

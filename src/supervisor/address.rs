//! Where servers are, as name servers and operators say it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::Supervisor;
use crate::config::policy::InitState;
use crate::events::{Event, Reason};
use crate::topology::Server;
use crate::topology::build::initial_health;
use crate::topology::status::{Checking, ServiceRecord, Slot};

impl Supervisor {
    /// Takes the address that a server's name resolved to.
    pub fn address_found(self: &Rc<Self>, server: &Arc<Server>, address: SocketAddr) {
        if server.status().address.is_some() {
            return;
        }
        let host = server.config.address.host.clone();
        let reason = Reason::Name {
            host,
            resolves: true,
        };
        self.set_address(server, address, reason);
    }

    /// Takes a server's new address.
    pub(super) fn set_address(
        self: &Rc<Self>,
        server: &Arc<Server>,
        address: SocketAddr,
        reason: Reason,
    ) {
        let known = server.address();
        if known == Some(address) {
            return;
        }
        server.set_address(address);
        server.update(|status| {
            let record = status.record.take();
            status.occupy(record);
        });
        if let Some(known) = known {
            self.journal.record(Event::AddressChanged {
                server: server.path.clone(),
                from: Some(known),
                to: address,
                reason: reason.clone(),
            });
        }
        let turn = self.recompute(server, Instant::now());
        self.settle(server, reason);
        self.announce_turn(turn);
        self.announce_routes();
    }

    /// Takes that a server's name does not resolve. An address that is known is kept unless
    /// it is to be forgotten, because the name does not have it any more.
    pub fn address_missing(self: &Rc<Self>, server: &Arc<Server>, forget: bool) {
        match server.address() {
            Some(_) if !forget => return,
            Some(known) => tracing::info!("Server {} is no longer at {known}.", server.path),
            None => {}
        }
        let host = server.config.address.host.clone();
        server.forget_address();
        server.update(|status| status.unresolved = true);
        self.mark_down(
            server,
            Reason::Name {
                host,
                resolves: false,
            },
        );
    }

    /// Has a server of a template take `address`, which its name has for it, and share sessions as
    /// `record` says. Its check, if it has one, says first whether it serves.
    pub fn occupy(
        self: &Rc<Self>,
        server: &Arc<Server>,
        address: SocketAddr,
        record: Option<ServiceRecord>,
    ) {
        let known = server.address();
        if known == Some(address) {
            return self.weigh_by(server, record);
        }
        let status = server.status();
        if known.is_some() && status.slot == Slot::Taken {
            // As any server whose name has moved: there may be no other that could serve meanwhile.
            server.update(|status| status.record = record);
            self.set_address(server, address, name_has(server, address, true));
            return server.ask_for_check();
        }
        let is_asked = server.config.policy.init_state == InitState::Known
            && server.config.check.is_some()
            && status.checking == Checking::Wanted;
        server.set_address(address);
        server.update(|status| {
            status.vacate(fresh_health(server));
            status.occupy(record);
            if is_asked {
                status.slot = Slot::Arriving;
            }
        });
        let reason = name_has(server, address, true);
        self.journal.record(Event::AddressChanged {
            server: server.path.clone(),
            from: known,
            to: address,
            reason: reason.clone(),
        });
        self.settle(server, reason);
        server.ask_for_check();
    }

    /// Takes what the SRV record of a server says now.
    fn weigh_by(self: &Rc<Self>, server: &Arc<Server>, record: Option<ServiceRecord>) {
        let from = server.weight();
        server.update(|status| status.record = record);
        let to = server.weight();
        if from == to {
            return;
        }
        let turn = self.recompute(server, Instant::now());
        let host = server.config.address.host.clone();
        self.journal.record(Event::WeightChanged {
            server: server.path.clone(),
            from,
            to,
            reason: Reason::Service { host },
        });
        self.announce_turn(turn);
        self.announce_routes();
    }

    /// Has a server of a template wait for an address, because its name has none for it.
    pub fn vacate(self: &Rc<Self>, server: &Arc<Server>) {
        let Some(known) = server.address() else {
            return;
        };
        server.forget_address();
        server.update(|status| status.vacate(fresh_health(server)));
        self.settle(server, name_has(server, known, false));
    }
}

/// The counter of a check of which nothing is known.
fn fresh_health(server: &Server) -> Option<crate::health::judge::CheckHealth> {
    let check = server.config.check.as_ref()?;
    Some(initial_health(check, server.config.policy.init_state))
}

fn name_has(server: &Server, address: SocketAddr, has: bool) -> Reason {
    Reason::Address {
        host: server.config.address.host.clone(),
        ip: address.ip(),
        has,
    }
}

//! A connection that has been admitted, and the worker where its session will live.
//!
//! Nearly always that is the worker that accepted it. If that one is ahead of another
//! ([`Loads::relief`](crate::topology::Loads::relief)) it takes the connection out of its event
//! loop and hands it on. From then on the session is the other's alone, as if that had accepted
//! it: it is admitted already, and routed by what ran then, also if a reload comes in between. A
//! worker that drains takes in what is on its way and nothing after that; who wants to hand on then
//! keeps it.

use std::io;
use std::net::{self, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::account::Account;
use super::session;
use super::worker::{Seen, Stage, Worker};
use crate::topology::admission::{Admitted, Resource};
use crate::topology::{Frontend, Topology};

/// The way to hand connections to a worker.
pub(super) type Peer = mpsc::UnboundedSender<Guest>;

/// Its end of it.
pub(super) type Guests = mpsc::UnboundedReceiver<Guest>;

/// What is known of a connection that has been admitted.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) from: SocketAddr,
    /// Where it has connected to, as configured.
    pub(super) local: SocketAddr,
    pub(super) frontend: Arc<Frontend>,
    pub(super) admitted: Admitted,
}

/// A connection on its way to another worker, where it counts already. If this is dropped, the
/// connection is closed and its admission undone.
#[derive(Debug)]
pub(super) struct Guest {
    /// `None` once it has arrived.
    luggage: Option<(net::TcpStream, Arrival)>,
    /// What it is routed by.
    topology: Arc<Topology>,
    host: usize,
}

impl Arrival {
    /// Begins the session of `client`, here or where there are fewer.
    pub(super) fn settle(self, worker: &Rc<Worker>, topology: &Rc<Seen>, client: TcpStream) {
        match worker.relief() {
            None => self.begin(worker, topology, client),
            Some(host) => self.hand_on(worker, topology, client, host),
        }
    }

    /// Gives it to the worker `host`, unless that takes nothing any more.
    fn hand_on(self, worker: &Rc<Worker>, topology: &Rc<Seen>, client: TcpStream, host: usize) {
        let Some(peer) = worker.peers.get(host) else {
            return self.begin(worker, topology, client);
        };
        let client = match client.into_std() {
            Ok(client) => client,
            Err(error) => return self.fail(worker, &error),
        };
        match peer.send(Guest::new(self, client, topology.share(), host)) {
            Ok(()) => worker.loads.count_handed_on(worker.id),
            Err(refused) => refused.0.arrive(worker, topology),
        }
    }

    fn begin(self, worker: &Rc<Worker>, topology: &Rc<Seen>, client: TcpStream) {
        let account = Account::open(worker, self.frontend, self.from, &self.admitted);
        account.note_client_end(&client);
        let key = account.key();
        let (worker_too, topology) = (Rc::clone(worker), Rc::clone(topology));
        let session = session::run(worker_too, account, client, self.local, topology);
        let task = tokio::task::spawn_local(session);
        worker.sessions.set_task(key, task.abort_handle());
    }

    /// It cannot be served, because its socket cannot be put where it belongs.
    fn fail(self, worker: &Worker, error: &io::Error) {
        worker.admission.undo(&self.frontend, &self.admitted);
        worker.admission.short_of(Resource::Memory);
        if worker.may_complain() {
            let local = self.local;
            tracing::error!("A connection to {local} cannot be served: {error}.");
        }
    }
}

impl Guest {
    fn new(arrival: Arrival, client: net::TcpStream, topology: Arc<Topology>, host: usize) -> Self {
        topology.loads.enter(host);
        Self {
            luggage: Some((client, arrival)),
            topology,
            host,
        }
    }

    /// Begins the session on `worker`.
    fn arrive(mut self, worker: &Rc<Worker>, topology: &Rc<Seen>) {
        let Some((client, arrival)) = self.luggage.take() else {
            return;
        };
        match TcpStream::from_std(client) {
            Ok(client) => arrival.begin(worker, topology, client),
            Err(error) => arrival.fail(worker, &error),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // One that has arrived is counted by its account.
        self.topology.loads.leave(self.host);
        if let Some((_, arrival)) = self.luggage.take() {
            let admission = &self.topology.admission;
            admission.undo(&arrival.frontend, &arrival.admitted);
        }
    }
}

/// Takes in what other workers hand on, until the process drains and the last of it has come.
pub(super) async fn receive(
    worker: Rc<Worker>,
    mut guests: Guests,
    mut stages: watch::Receiver<Stage>,
) {
    let take_in = |guest: Guest| {
        let topology = worker.see(&guest.topology);
        guest.arrive(&worker, &topology);
    };
    let mut draining = pin!(stages.wait_for(|stage| *stage >= Stage::Draining));
    loop {
        tokio::select! {
            Some(guest) = guests.recv() => take_in(guest),
            _ = &mut draining => break,
        }
    }
    guests.close();
    while let Some(guest) = guests.recv().await {
        take_in(guest);
    }
}

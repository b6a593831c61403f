//! The listeners of all workers.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::sync::watch;

use super::bind::Bound;
use crate::config::Config;
use crate::proxy::worker::{self, Bind, Order};
use crate::sys::sockets;
use crate::upgrade::{Offer, Offered, offer};

/// An address and sockets that listen on it.
pub(super) type Listening = (SocketAddr, Vec<TcpListener>);

/// The listeners of all workers, by address.
#[derive(Debug)]
pub(super) struct Listeners {
    workers: worker::Listeners,
    open: HashMap<SocketAddr, (watch::Sender<Order>, Option<Offered>)>,
    /// What the next process gets.
    offer: Offer,
    /// Those that workers may not have closed yet.
    closing: Vec<(SocketAddr, watch::Sender<Order>)>,
}

impl Listeners {
    /// None yet.
    pub(super) fn new(workers: worker::Listeners, offer: Offer) -> Self {
        Self {
            workers,
            open: HashMap::new(),
            offer,
            closing: Vec::new(),
        }
    }

    /// Where the workers listen, some of them perhaps for a moment only.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let closing = self.closing.iter();
        let closing = closing.filter(|(_, order)| order.receiver_count() > 0);
        let closing = closing.map(|(address, _)| *address);
        self.open.keys().copied().chain(closing)
    }

    pub(super) fn has(&self, address: SocketAddr) -> bool {
        self.open.contains_key(&address)
    }

    /// Has the workers accept on `listening`.
    pub(super) fn give(&mut self, listening: Vec<Listening>) {
        for (address, listeners) in listening {
            let offered = offered(&self.offer, address, &listeners);
            let (order, orders) = watch::channel(Order::Accept);
            // More listeners than workers: each has a queue, and somebody has to serve it.
            for (worker, listener) in self.workers.iter().cycle().zip(listeners) {
                // A worker that is gone accepts nothing.
                let _ = worker.send(Bind {
                    address,
                    listener,
                    orders: orders.clone(),
                });
            }
            self.open.insert(address, (order, offered));
        }
    }

    /// Has the workers look whose sessions they accept now, and close what `config` does not have.
    pub(super) fn follow(&mut self, config: &Config) {
        let binds = config.frontends.iter().flat_map(|frontend| &frontend.bind);
        let wanted: HashSet<_> = binds.collect();
        self.closing.retain(|(_, order)| order.receiver_count() > 0);
        let closing = self.open.extract_if(|address, (order, _)| {
            let stays = wanted.contains(address);
            order.send_replace(if stays { Order::Accept } else { Order::Close });
            !stays
        });
        // What is closed here must not stay open for the next process.
        let closing = closing.map(|(address, (order, _))| (address, order));
        self.closing.extend(closing);
    }
}

/// Has the next process get `listeners` too. Without a descriptor for that it takes the address anew.
pub(super) fn offered(
    offer: &Offer,
    address: SocketAddr,
    listeners: &[TcpListener],
) -> Option<Offered> {
    let failed = |error| {
        tracing::error!("The next process will not get the listeners of {address}: {error}.");
    };
    offer
        .add(offer::tcp(address), listeners)
        .map_err(failed)
        .ok()
}

/// Has all of `bound` listen.
///
/// # Errors
/// When the system refuses. Then none of them is listened on.
pub(super) fn listen(bound: Vec<Bound>) -> io::Result<Vec<Listening>> {
    bound.into_iter().map(listen_on).collect()
}

fn listen_on(bound: Bound) -> io::Result<Listening> {
    let Bound {
        address,
        sockets,
        backlog,
    } = bound;
    let listen = |socket| sockets::listen(socket, backlog);
    let listeners = sockets.into_iter().map(listen).collect::<io::Result<_>>()?;
    Ok((address, listeners))
}

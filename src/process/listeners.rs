//! The listeners of all workers.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use tokio::sync::watch;

use super::bind::Bound;
use crate::proxy::worker::{self, Bind, Order};
use crate::sys::sockets;
use crate::upgrade::{Offer, Offered, offer};

/// The listeners of all workers, by address.
#[derive(Debug)]
pub(super) struct Listeners {
    workers: worker::Listeners,
    open: HashMap<SocketAddr, (watch::Sender<Order>, Offered)>,
    /// What the next process gets.
    offer: Offer,
}

impl Listeners {
    /// None yet.
    pub(super) fn new(workers: worker::Listeners, offer: Offer) -> Self {
        Self {
            workers,
            open: HashMap::new(),
            offer,
        }
    }

    /// Listens on `bound` and has the workers accept there.
    ///
    /// # Errors
    /// When the system refuses to listen. Then none of the addresses is listened on.
    pub(super) fn open(&mut self, bound: Vec<Bound>) -> io::Result<()> {
        let listening: Vec<_> = bound.into_iter().map(listen).collect::<io::Result<_>>()?;
        for (address, listeners) in listening {
            let offered = self.offer.add(offer::tcp(address), &listeners)?;
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
        Ok(())
    }
}

fn listen(bound: Bound) -> io::Result<(SocketAddr, Vec<std::net::TcpListener>)> {
    let Bound {
        address,
        sockets,
        backlog,
    } = bound;
    let listen = |socket| sockets::listen(socket, backlog);
    let listeners = sockets.into_iter().map(listen).collect::<io::Result<_>>()?;
    Ok((address, listeners))
}

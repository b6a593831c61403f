//! The accept loop.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::arrival::Arrival;
use super::worker::{Bind, Order, Seen, Stage, Worker};
use crate::sys::sockets;
use crate::topology::Frontend;
use crate::topology::admission::{Admitted, Resource};

/// How long to leave connections in the kernel's queue when there is nothing to serve them with.
const PAUSE: Duration = Duration::from_millis(100);

/// A shortage is over when nothing was short for this long. One that lasts lets single
/// connections through, and each of them would be told as its end and its next beginning.
const OVER_AFTER: Duration = Duration::from_secs(1);

/// Accepts sessions, while the frontend is enabled, until the process drains or the listener is
/// to be closed.
pub(super) async fn run(worker: Rc<Worker>, bind: Bind, stages: watch::Receiver<Stage>) {
    let address = bind.address;
    if let Err(error) = take_turns(&worker, bind, stages).await {
        tracing::error!("Cannot accept on {address}: {error}.");
    }
}

/// Why accepting stops, for good or for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The process drains, or the listener is to be closed.
    Ends,
    /// The frontend is disabled.
    Pauses,
}

async fn take_turns(
    worker: &Rc<Worker>,
    bind: Bind,
    mut stages: watch::Receiver<Stage>,
) -> io::Result<()> {
    let (mut orders, mut listening) = (bind.orders, bind.listener);
    let Some(mut entrance) = Entrance::new(worker, bind.address) else {
        return Ok(());
    };
    let mut draining = pin!(stages.wait_for(|stage| *stage >= Stage::Draining));
    loop {
        let listener = TcpListener::from_std(listening)?;
        let stop = loop {
            entrance.look();
            let mut enabled = entrance.frontend.watch();
            tokio::select! {
                biased;
                never = entrance.accept(&listener) => match never {},
                _ = &mut draining => break Stop::Ends,
                order = next(&mut orders) => if order == Order::Close {
                    break Stop::Ends;
                },
                _ = enabled.wait_for(|enabled| !enabled) => break Stop::Pauses,
            }
        };
        // The event loop must not see the socket while it is closed for connections: it would
        // take it for one that has ended.
        listening = listener.into_std()?;
        entrance.accept_rest(&listening);
        if stop == Stop::Ends {
            return Ok(());
        }
        sockets::pause(&listening)?;
        loop {
            entrance.look();
            let mut enabled = entrance.frontend.watch();
            tokio::select! {
                _ = &mut draining => return Ok(()),
                order = next(&mut orders) => if order == Order::Close {
                    return Ok(());
                },
                _ = enabled.wait_for(|enabled| *enabled) => break,
            }
        }
        sockets::resume(&listening)?;
    }
}

/// The next order. The last one stands when nobody is left who could give another.
async fn next(orders: &mut watch::Receiver<Order>) -> Order {
    if orders.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    *orders.borrow_and_update()
}

/// A connection and where it comes from.
type Accepted = (TcpStream, SocketAddr);

/// Where sessions come in.
struct Entrance<'w> {
    worker: &'w Rc<Worker>,
    address: SocketAddr,
    /// The last topology that had the address.
    topology: Rc<Seen>,
    /// Who has the address there.
    frontend: Arc<Frontend>,
    /// What was accepted and waits for room.
    held: Option<Accepted>,
}

impl<'w> Entrance<'w> {
    /// `None` if nobody has the address any more.
    fn new(worker: &'w Rc<Worker>, address: SocketAddr) -> Option<Self> {
        let topology = worker.topology();
        let frontend = Arc::clone(topology.frontend_at(address)?);
        Some(Self {
            worker,
            address,
            topology,
            frontend,
            held: None,
        })
    }

    /// Takes a reload into account. While the listener of an address that is gone is not closed
    /// yet, its sessions go where they went before.
    fn look(&mut self) {
        let topology = self.worker.topology();
        if !Rc::ptr_eq(&topology, &self.topology)
            && let Some(frontend) = topology.frontend_at(self.address)
        {
            self.frontend = Arc::clone(frontend);
            self.topology = topology;
        }
    }

    async fn accept(&mut self, listener: &TcpListener) -> Infallible {
        let mut starved: Option<Instant> = None;
        let address = self.address;
        loop {
            match listener.accept().await {
                Ok((client, from)) => {
                    expect_nothing(&client);
                    if starved
                        .take_if(|last| last.elapsed() > OVER_AFTER)
                        .is_some()
                    {
                        tracing::info!("Accepting on {address} again.");
                    }
                    self.take_on((client, sockets::canonical(from))).await;
                }
                Err(error) if sockets::is_shortage(&error) => {
                    let lacking = if sockets::is_out_of_descriptors(&error) {
                        Resource::Descriptors
                    } else {
                        Resource::Memory
                    };
                    self.worker.admission.short_of(lacking);
                    if starved.replace(Instant::now()).is_none() {
                        tracing::error!(
                            "Cannot accept on {address}: {error}. New connections wait until \
                             this is over."
                        );
                    }
                    self.worker.pipes.shed();
                    tokio::time::sleep(PAUSE).await;
                }
                // The others concern one connection that is gone already (accept(2)).
                Err(error) => tracing::debug!("A connection to {address} was lost: {error}."),
            }
        }
    }

    /// Serves a connection once there is room for another session.
    async fn take_on(&mut self, accepted: Accepted) {
        self.look();
        if self.turns_away(&accepted) {
            return;
        }
        // Held where it is not lost when this future is dropped.
        self.held = Some(accepted);
        while let Err(wait) = self.frontend.door.guard.pace() {
            tokio::time::sleep(wait).await;
        }
        let admission = &self.worker.admission;
        let admitted = match admission.admit_now(&self.frontend) {
            Some(admitted) => admitted,
            None => admission.admit(&self.frontend).await,
        };
        if let Some(accepted) = self.held.take() {
            self.serve(admitted, accepted);
        }
        while self.worker.is_hungry() {
            // What becomes free is for those that are here already.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Closes a connection whose client is not served. One that may speak for others is judged
    /// when it has said for whom.
    fn turns_away(&self, (client, from): &Accepted) -> bool {
        if self.frontend.expects_header(*from).is_some() {
            return false;
        }
        let Some(refusal) = self.frontend.door.guard.judge(from.ip(), false) else {
            return false;
        };
        let refusals = &self.frontend.door.refusals;
        refusals.count(self.worker.id, refusal);
        // Nothing of it stays behind in the kernel, however many there are.
        sockets::reset_on_close(client);
        true
    }

    /// Serves what the kernel has accepted before it is told to refuse, as far as there is room.
    fn accept_rest(&mut self, listener: &std::net::TcpListener) {
        let held = self.held.take();
        let rest = std::iter::from_fn(|| {
            let (client, from) = listener.accept().ok()?;
            client.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(client).ok()?, sockets::canonical(from)))
        });
        for accepted in held.into_iter().chain(rest) {
            self.look();
            if self.turns_away(&accepted) {
                continue;
            }
            let Some(admitted) = self.worker.admission.admit_now(&self.frontend) else {
                return;
            };
            self.serve(admitted, accepted);
        }
    }

    /// Begins a session that has been admitted to the frontend.
    fn serve(&mut self, admitted: Admitted, (client, from): Accepted) {
        let arrival = Arrival {
            from,
            local: self.address,
            frontend: Arc::clone(&self.frontend),
            admitted,
        };
        arrival.settle(self.worker, &self.topology, client);
    }
}

/// Has tokio wait for what a client sends that was accepted just now: it assumes that something has
/// come already, which is seldom so, and would have it read in vain.
fn expect_nothing(client: &TcpStream) {
    let nothing = || Err::<(), _>(ErrorKind::WouldBlock.into());
    // It is an error by design.
    let _ = client.try_io(Interest::READABLE, nothing);
}

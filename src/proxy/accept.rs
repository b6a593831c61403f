//! The accept loop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::account::Account;
use super::session;
use super::worker::{Bind, Stage, Worker};
use crate::sys::sockets;
use crate::topology::Frontend;

/// How long to leave connections in the kernel's queue when there is nothing to serve them with.
const PAUSE: Duration = Duration::from_millis(100);

/// A shortage is over when nothing was short for this long. One that lasts lets single
/// connections through, and each of them would be told as its end and its next beginning.
const OVER_AFTER: Duration = Duration::from_secs(1);

/// Accepts sessions, while the frontend is enabled, until the process drains.
pub(super) async fn run(worker: Rc<Worker>, bind: Bind, stages: watch::Receiver<Stage>) {
    let address = bind.address;
    if let Err(error) = take_turns(&worker, bind, stages).await {
        tracing::error!("Cannot accept on {address}: {error}.");
    }
}

async fn take_turns(
    worker: &Rc<Worker>,
    bind: Bind,
    mut stages: watch::Receiver<Stage>,
) -> io::Result<()> {
    let (address, mut listening) = (bind.address, bind.listener);
    let frontend = worker.topology.frontend(bind.frontend);
    let mut enabled = frontend.watch();
    let mut draining = pin!(stages.wait_for(|stage| *stage >= Stage::Draining));
    loop {
        let listener = TcpListener::from_std(listening)?;
        let drains = tokio::select! {
            biased;
            never = accept(worker, frontend, &listener, address) => match never {},
            _ = &mut draining => true,
            _ = enabled.wait_for(|enabled| !enabled) => false,
        };
        // The event loop must not see the socket while it is closed for connections: it would
        // take it for one that has ended.
        listening = listener.into_std()?;
        accept_rest(worker, frontend, &listening, address);
        if drains {
            return Ok(());
        }
        sockets::pause(&listening)?;
        tokio::select! {
            _ = &mut draining => return Ok(()),
            _ = enabled.wait_for(|enabled| *enabled) => {}
        }
        sockets::resume(&listening)?;
    }
}

async fn accept(
    worker: &Rc<Worker>,
    frontend: &Arc<Frontend>,
    listener: &TcpListener,
    address: SocketAddr,
) -> Infallible {
    let mut starved: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((client, from)) => {
                if starved
                    .take_if(|last| last.elapsed() > OVER_AFTER)
                    .is_some()
                {
                    tracing::info!("Accepting on {address} again.");
                }
                serve(worker, frontend, client, from, address);
            }
            Err(error) if sockets::is_shortage(&error) => {
                if starved.replace(Instant::now()).is_none() {
                    tracing::error!(
                        "Cannot accept on {address}: {error}. New connections wait until this is \
                         over."
                    );
                }
                worker.pipes.shed();
                tokio::time::sleep(PAUSE).await;
            }
            // The others concern one connection that is gone already (accept(2)).
            Err(error) => tracing::debug!("A connection to {address} was lost: {error}."),
        }
    }
}

/// Serves what the kernel has accepted before it is told to refuse.
fn accept_rest(
    worker: &Rc<Worker>,
    frontend: &Arc<Frontend>,
    listener: &std::net::TcpListener,
    address: SocketAddr,
) {
    while let Ok((client, from)) = listener.accept() {
        if client.set_nonblocking(true).is_ok()
            && let Ok(client) = TcpStream::from_std(client)
        {
            serve(worker, frontend, client, from, address);
        }
    }
}

fn serve(
    worker: &Rc<Worker>,
    frontend: &Arc<Frontend>,
    client: TcpStream,
    from: SocketAddr,
    address: SocketAddr,
) {
    let account = Account::open(worker, Arc::clone(frontend), from);
    let key = account.key();
    let session = session::run(Rc::clone(worker), account, client, address);
    let task = tokio::task::spawn_local(session);
    worker.sessions.set_task(key, task.abort_handle());
}

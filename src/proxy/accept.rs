//! The accept loop.

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

/// Accepts sessions until the process drains. What the kernel has accepted by then is served.
pub(super) async fn run(worker: Rc<Worker>, bind: Bind, mut stages: watch::Receiver<Stage>) {
    let address = bind.address;
    let listener = match TcpListener::from_std(bind.listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("Cannot accept on {address}: {error}."),
    };
    let frontend = worker.topology.frontend(bind.frontend);
    let mut draining = pin!(stages.wait_for(|stage| *stage >= Stage::Draining));
    let mut starved: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = &mut draining => break,
        };
        match accepted {
            Ok((client, from)) => {
                if starved
                    .take_if(|last| last.elapsed() > OVER_AFTER)
                    .is_some()
                {
                    tracing::info!("Accepting on {address} again.");
                }
                serve(&worker, frontend, client, from, address);
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
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((client, from)) = listener.accept() {
        if client.set_nonblocking(true).is_ok()
            && let Ok(client) = TcpStream::from_std(client)
        {
            serve(&worker, frontend, client, from, address);
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

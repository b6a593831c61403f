//! The accept loop.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::account::Account;
use super::session;
use super::worker::{Bind, Worker};
use crate::sys::sockets;

/// How long to leave connections in the kernel's queue when there is nothing to serve them with.
const PAUSE: Duration = Duration::from_millis(100);

/// A shortage is over when nothing was short for this long. One that lasts lets single
/// connections through, and each of them would be told as its end and its next beginning.
const OVER_AFTER: Duration = Duration::from_secs(1);

/// Accepts sessions until the task is aborted.
pub(super) async fn run(worker: Rc<Worker>, bind: Bind) {
    let frontend = Arc::clone(worker.topology.frontend(bind.frontend));
    let listener = match TcpListener::from_std(bind.listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("Cannot accept on {}: {error}.", bind.address),
    };
    let mut starved: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((client, address)) => {
                if starved
                    .take_if(|last| last.elapsed() > OVER_AFTER)
                    .is_some()
                {
                    tracing::info!("Accepting on {} again.", bind.address);
                }
                let account = Account::open(&worker, Arc::clone(&frontend), address);
                let key = account.key();
                let session =
                    session::run(Rc::clone(&worker), account, client, bind.address);
                let task = tokio::task::spawn_local(session);
                worker.sessions.set_task(key, task.abort_handle());
            }
            Err(error) if sockets::is_shortage(&error) => {
                if starved.replace(Instant::now()).is_none() {
                    tracing::error!(
                        "Cannot accept on {}: {error}. New connections wait until this is over.",
                        bind.address
                    );
                }
                worker.pipes.shed();
                tokio::time::sleep(PAUSE).await;
            }
            // The others concern one connection that is gone already (accept(2)).
            Err(error) => tracing::debug!("A connection to {} was lost: {error}.", bind.address),
        }
    }
}

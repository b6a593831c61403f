//! One session from start to end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::account::Account;
use super::connect;
use super::forward;
use super::route;
use super::worker::Worker;
use crate::outcome::{Cause, Outcome, Phase};

/// Serves `client`, which connected to `local`, to the end.
pub(super) async fn run(
    worker: Rc<Worker>,
    mut account: Account,
    client: TcpStream,
    address: SocketAddr,
    local: SocketAddr,
) {
    let outcome = serve(&worker, &mut account, client, address, local).await;
    account.end(outcome);
}

async fn serve(
    worker: &Worker,
    account: &mut Account,
    mut client: TcpStream,
    address: SocketAddr,
    local: SocketAddr,
) -> Outcome {
    let frontend = Arc::clone(account.frontend());
    let Some(backend) = route::backend(&worker.topology, &frontend, address, local) else {
        return Outcome::new(Cause::Policy, Phase::Request);
    };
    account.enter_backend(Arc::clone(backend));
    let mut server = match connect::connect(backend, account, &client).await {
        Ok(server) => server,
        Err(outcome) => return outcome,
    };
    let timeouts = forward::Timeouts::new(frontend.config.timeout, backend.config.timeout);
    forward::forward(worker, account, &mut client, &mut server, timeouts).await
}

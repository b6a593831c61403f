//! One session from start to end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::account::Account;
use super::connect;
use super::forward;
use super::route;
use super::worker::Worker;
use crate::acl::Condition;
use crate::outcome::{Cause, Outcome, Phase};
use crate::topology::{Backend, Frontend};

/// How many backends a session tries at most.
const MOST_BACKENDS: usize = 4;
/// The longest that a session waits for the rules to send it elsewhere.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often it looks whether they do.
const STEP: Duration = Duration::from_millis(10);

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
    let route = || route::backend(&worker.topology, &frontend, address, local);
    let Some(mut backend) = route() else {
        return Outcome::new(Cause::Policy, Phase::Request);
    };
    let mut tries = 1..MOST_BACKENDS;
    let mut server = loop {
        account.enter_backend(Arc::clone(backend));
        let outcome = match connect::connect(backend, account, &client).await {
            Ok(server) => break server,
            Err(outcome) => outcome,
        };
        // Its servers may be dead without the checks having noticed yet. When they have, the
        // rules may send the session to another farm.
        if !outcome.cause.is_the_servers() || tries.next().is_none() {
            return outcome;
        }
        match reroute(&frontend, backend, route).await {
            Some(other) => backend = other,
            None => return outcome,
        }
    };
    let timeouts = forward::Timeouts::new(frontend.config.timeout, backend.config.timeout);
    let splice = frontend.config.splice.and(backend.config.splice);
    forward::forward(worker, account, &mut client, &mut server, timeouts, splice).await
}

/// Waits, for as long as one connection attempt to `failed` may take, for the rules to choose
/// another backend that has a server.
async fn reroute<'a>(
    frontend: &Frontend,
    failed: &Backend,
    route: impl Fn() -> Option<&'a Arc<Backend>>,
) -> Option<&'a Arc<Backend>> {
    let other = || route().filter(|other| other.id != failed.id && other.usable().nbsrv() > 0);
    let asks_about_servers = frontend.config.rules.iter().any(|rule| {
        rule.condition
            .as_ref()
            .is_some_and(Condition::looks_at_servers)
    });
    if !asks_about_servers {
        return None;
    }
    let limit = failed
        .config
        .timeout
        .connect
        .map_or(LONGEST_WAIT, |limit| limit.min(LONGEST_WAIT));
    let mut waited = Duration::ZERO;
    while waited < limit {
        if let Some(other) = other() {
            return Some(other);
        }
        sleep(STEP).await;
        waited += STEP;
    }
    other()
}

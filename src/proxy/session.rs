//! One session from start to end.
//!
//! What a waiting session costs is mostly its future, so what is needed only to begin is not
//! part of it: the search for a server is a future of its own, freed when one is connected.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, sleep_until};

use super::account::Account;
use super::connect;
use super::forward;
use super::greeting;
use super::route;
use super::worker::{Seen, Worker};
use crate::acl::Condition;
use crate::outcome::{Cause, Outcome, Phase};
use crate::sys::sockets;
use crate::topology::Backend;

/// How many backends a session tries at most.
const MOST_BACKENDS: usize = 4;
/// The longest that a session waits for the rules to send it elsewhere.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often it looks whether they do.
const STEP: Duration = Duration::from_millis(10);

/// Serves `client`, which connected to `local` when `topology` ran, to the end.
#[expect(
    clippy::manual_async_fn,
    reason = "the future of an `async fn` has its arguments twice"
)]
pub(super) fn run(
    worker: Rc<Worker>,
    mut account: Account,
    client: TcpStream,
    local: SocketAddr,
    topology: Rc<Seen>,
) -> impl Future<Output = ()> {
    async move {
        #[cfg(test)]
        tests::fail_point(&account);
        // The only one that a session sets which meets no trouble.
        let mut timer = pin!(sleep_until(account.connected_at().into()));
        let ends = (&client, local);
        let finding = find_server(&worker, &mut account, ends, topology, timer.as_mut());
        let found = Box::pin(finding).await;
        let outcome = match found {
            Ok((backend, server)) => {
                let frontend = Arc::clone(account.frontend());
                let (frontend, backend) = (&frontend.config, &backend.config);
                let timeouts = forward::Timeouts::new(&frontend.timeout, &backend.timeout);
                let splice = frontend.splice.and(backend.splice);
                let ends = (&client, &server);
                forward::forward(&worker, &mut account, ends, timeouts, splice, timer).await
            }
            Err(outcome) => outcome,
        };
        drop(client);
        account.end(outcome);
    }
}

/// Waits for the PROXY header of a connection that begins with one, and judges the client that it
/// tells of. Returns where that client has connected to.
async fn meet(
    worker: &Worker,
    account: &mut Account,
    (client, local): (&TcpStream, SocketAddr),
    limit: Duration,
) -> Result<SocketAddr, Outcome> {
    let read = greeting::read(worker, client, limit).await;
    let (refusal, outcome) = match read {
        Err(refused) => refused,
        Ok(told) => {
            if let Some(told) = told {
                account.set_told(told);
            }
            let guard = &account.frontend().door.guard;
            match guard.judge(account.client().ip(), true) {
                None => return Ok(told.map_or(local, |told| told.local)),
                Some(refusal) => (refusal, Outcome::new(Cause::Policy, Phase::Request)),
            }
        }
    };
    account.refuse(refusal);
    sockets::reset_on_close(client);
    Err(outcome)
}

/// A backend and a connection to one of its servers.
async fn find_server(
    worker: &Worker,
    account: &mut Account,
    (client, local): (&TcpStream, SocketAddr),
    topology: Rc<Seen>,
    mut timer: Pin<&mut Sleep>,
) -> Result<(Arc<Backend>, TcpStream), Outcome> {
    let local = match account.frontend().expects_header(account.client()) {
        None => local,
        Some(limit) => Box::pin(meet(worker, account, (client, local), limit)).await?,
    };
    let address = account.client();
    let Some(mut backend) = route::backend(&topology, account.frontend(), address, local) else {
        return Err(Outcome::new(Cause::Policy, Phase::Request));
    };
    drop(topology);
    let mut tries = 1..MOST_BACKENDS;
    loop {
        account.enter_backend(Arc::clone(&backend));
        let outcome = match connect::connect(&backend, account, client, timer.as_mut()).await {
            Ok(server) => return Ok((backend, server)),
            Err(outcome) => outcome,
        };
        // That they are full is not known by the rules.
        if outcome.phase == Phase::Queue {
            return Err(outcome);
        }
        // Its servers may be dead without the checks having noticed yet. When they have, the
        // rules may send the session to another farm. A reload is nobody's failure.
        let mut may_go_on = || backend.is_superseded() || tries.next().is_some();
        if !outcome.cause.is_the_servers() || !may_go_on() {
            return Err(outcome);
        }
        match Box::pin(reroute(worker, account, &backend, local)).await {
            Some(other) => backend = other,
            None => return Err(outcome),
        }
    }
}

/// Waits, for as long as one connection attempt to `failed` may take, for the rules to choose
/// another backend that has a server.
async fn reroute(
    worker: &Worker,
    account: &Account,
    failed: &Backend,
    local: SocketAddr,
) -> Option<Arc<Backend>> {
    let frontend = account.frontend();
    let other = || {
        let topology = worker.topology();
        let frontend = topology.successor(frontend)?;
        let backend = route::backend(&topology, frontend, account.client(), local)?;
        let other = backend.key != failed.key || failed.is_superseded();
        (other && backend.usable().nbsrv() > 0).then_some(backend)
    };
    let asks_about_servers = frontend.config.rules.iter().any(|rule| {
        rule.condition
            .as_ref()
            .is_some_and(Condition::looks_at_servers)
    });
    // One that is superseded hears nothing of its servers any more; who took its place does.
    if !asks_about_servers && !failed.is_superseded() {
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

#[cfg(test)]
mod tests;

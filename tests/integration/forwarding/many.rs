//! Thousands of sessions at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::harness::farm::Farm;
use crate::harness::wait::wait_until;

const SESSIONS: u64 = 5000;

/// Connections being made at once, so that no listener's queue overflows.
const OPENING: usize = 100;

#[test]
fn five_thousand_sessions_echo_at_once() {
    // Both ends of every session are here; the proxy inherits the limit for its two.
    allow_descriptors(2 * SESSIONS + 500);
    let farm = Farm::new();
    let address = farm.next();
    let farm = farm.server("s1", address, "");
    let mut backstop = farm.start();
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind(address).await.expect("a free address");
        let server = tokio::spawn(serve(listener));
        let mut open = open_all(farm.entrance()).await;
        let stats = farm.stats();
        let row = tokio::task::spawn_blocking(move || stats.row("ft/FRONTEND"));
        assert_eq!(row.await.expect("a row")["scur"], SESSIONS.to_string());
        for (number, stream) in &mut open {
            echo(stream, *number).await.expect("still echoes");
        }
        drop(open);
        server.abort();
    });
    wait_until("every session should be logged", || {
        backstop.sessions().len() as u64 == SESSIONS
    });
    assert!(
        backstop
            .sessions()
            .iter()
            .all(|session| session.bytes == 16)
    );
    assert_eq!(farm.stats().row("ft/FRONTEND")["scur"], "0");
    assert_eq!(backstop.stop(), Some(0));
}

async fn serve(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await
        });
    }
}

/// Every session, open, with its number, which was echoed once.
async fn open_all(entrance: SocketAddr) -> Vec<(u64, TcpStream)> {
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut tasks = JoinSet::new();
    for number in 0..SESSIONS {
        let opening = Arc::clone(&opening);
        tasks.spawn(async move {
            let _permit = opening.acquire().await.expect("never closed");
            let mut stream = TcpStream::connect(entrance).await?;
            echo(&mut stream, number).await?;
            io::Result::Ok((number, stream))
        });
    }
    let open = tasks.join_all().await;
    open.into_iter().map(|r| r.expect("a session")).collect()
}

async fn echo(stream: &mut TcpStream, number: u64) -> io::Result<()> {
    stream.write_all(&number.to_le_bytes()).await?;
    let seen = stream.read_u64_le().await?;
    assert_eq!(seen, number);
    Ok(())
}

/// Raises this process's limit of descriptors if it is lower.
fn allow_descriptors(needed: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let maximum = maximum.map(|maximum| maximum.max(needed));
    let current = Some(needed);
    setrlimit(Resource::Nofile, Rlimit { current, maximum })
        .expect("this test needs 10,500 descriptors: raise `ulimit -Hn`");
}

//! The client: asks through the proxy a few times a second and counts what comes back.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::answering::Answering;
use super::servers::{Index, find};
use super::stage::{Note, Stage};

/// From one request to the next.
const PACE: Duration = Duration::from_millis(200);

/// A request that has no answer by then has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of all requests so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// The longest time that an answer took.
    pub(super) slowest: Duration,
}

/// Asks `address` until told to stop; a request that is under way is waited for.
pub(super) async fn run(address: SocketAddr, stage: Rc<Stage>, mut stop: watch::Receiver<bool>) {
    let mut client = Client {
        address,
        stage,
        tally: Tally::default(),
        answering: Answering::default(),
        failing: false,
    };
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = pace.tick() => {}
        }
        client.request().await;
    }
}

struct Client {
    address: SocketAddr,
    stage: Rc<Stage>,
    tally: Tally,
    answering: Answering,
    /// Whether the last request failed.
    failing: bool,
}

impl Client {
    async fn request(&mut self) {
        let began = Instant::now();
        let answer = ask(self.address).await;
        let took = began.elapsed();
        let server = answer.and_then(|name| {
            find(&name).ok_or_else(|| io::Error::other(format!("a strange answer: {name:?}")))
        });
        match server {
            // The proxy is still starting.
            Err(error) if self.tally.requests == 0 && is_refusal(&error) => {}
            Err(error) => self.failed(&error),
            Ok(server) => self.answered(server, took),
        }
    }

    fn answered(&mut self, server: Index, took: Duration) {
        self.tally.requests += 1;
        self.tally.slowest = self.tally.slowest.max(took);
        self.failing = false;
        self.stage.note(Note::Answer(server, self.tally));
        let is_running = |server| self.stage.is_running(server);
        if let Some(servers) = self.answering.answered(server, is_running) {
            let servers: Vec<_> = servers.iter().copied().collect();
            self.stage.answering_changed(servers, self.tally);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.tally.requests += 1;
        self.tally.failed += 1;
        self.answering.failed();
        // Once for each series: the counter tells the rest.
        let news = !std::mem::replace(&mut self.failing, true);
        let reason = news.then(|| error.to_string());
        self.stage.note(Note::Failure(reason, self.tally));
    }
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// The body of the answer to one request, without the newline at its end.
pub(super) async fn ask(address: SocketAddr) -> io::Result<String> {
    let answer = timeout(PATIENCE, exchange(address)).await??;
    let text = String::from_utf8_lossy(&answer);
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.trim_end().to_owned()),
        Some((head, _)) => Err(io::Error::other(head.lines().next().unwrap_or_default())),
        None => Err(io::Error::other(
            "the connection was closed without an answer",
        )),
    }
}

async fn exchange(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

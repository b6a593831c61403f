//! Connections opened at a steady rate, whatever becomes of those before.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant as Moment, sleep_until, timeout};

/// A client gives up after this.
const PATIENCE: Duration = Duration::from_secs(5);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// How much to ask of a proxy.
#[derive(Debug)]
pub(crate) struct Load {
    /// Connections opened per second.
    pub(crate) rate: u32,
    pub(crate) duration: Duration,
}

/// One connection, from the first SYN to the answer's last byte.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    /// Whether a whole answer came.
    pub(crate) answered: bool,
}

impl Load {
    /// How many connections that makes.
    pub(crate) fn connections(&self) -> u32 {
        self.rate * self.duration.as_secs() as u32
    }

    /// Opens every connection at its time and waits for the last one's end.
    pub(crate) fn run(&self, address: SocketAddr) -> Vec<Connection> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let start = Moment::now();
            let mut tasks = JoinSet::new();
            for number in 0..self.connections() {
                let due = start + Duration::from_secs(1) * number / self.rate;
                tasks.spawn(async move {
                    sleep_until(due).await;
                    connection(address).await
                });
            }
            tasks.join_all().await
        })
    }
}

async fn connection(address: SocketAddr) -> Connection {
    let start = Moment::now();
    let answered = match timeout(PATIENCE, answer(address)).await {
        Ok(Ok(answer)) => answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\n\r\nnginx-"),
        Ok(Err(_)) | Err(_) => false,
    };
    Connection {
        began: start.into_std(),
        took: start.elapsed(),
        answered,
    }
}

async fn answer(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

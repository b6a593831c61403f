//! A test server in a process of its own, so that it can really be killed or stopped.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::Signal;
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

/// Makes a server answer with noise.
pub(crate) const GARBAGE: Signal = Signal::USR1;

/// Makes a server slow to accept.
pub(crate) const SLOW_ACCEPT: Signal = Signal::USR2;

/// Between two connections that a slow server accepts.
const SLOW: Duration = Duration::from_millis(100);

/// No byte of it belongs into an HTTP answer's first line.
const NOISE: [u8; 64] = [0xa5; 64];

/// Answers every request with `name` and a newline until the process is killed.
pub(crate) fn serve_for_ever(name: &str, address: SocketAddr) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    let served = LocalSet::new().block_on(&runtime, serve(name, address));
    served.expect("a server that listens");
}

async fn serve(name: &str, address: SocketAddr) -> io::Result<()> {
    let mut garbage = signal(SignalKind::user_defined1())?;
    let mut slow_accept = signal(SignalKind::user_defined2())?;
    let listener = TcpListener::bind(address).await?;
    let mut answer: Rc<[u8]> = http_answer(name).into();
    let mut pause = None;
    loop {
        tokio::select! {
            _ = garbage.recv() => answer = NOISE.as_slice().into(),
            _ = slow_accept.recv() => {
                pause = Some(SLOW);
                // A second call only changes how many connections may wait.
                SockRef::from(&listener).listen(1)?;
            }
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let answer = Rc::clone(&answer);
                spawn_local(async move { respond(stream, &answer).await });
                if let Some(pause) = pause {
                    sleep(pause).await;
                }
            }
        }
    }
}

fn http_answer(name: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    let length = name.len() + 1;
    format!("{head}Content-Length: {length}\r\n\r\n{name}\n").into_bytes()
}

/// Checks end connections early, so an error means nothing.
async fn respond(stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    // The client closes first, as it would with nginx, so that nothing unread resets it.
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

//! Servers inside the test process.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};

use socket2::SockRef;

type Handler = dyn Fn(&TcpStream) + Send + Sync;

/// Connections that may still be open. Not owned here, or they would stay open for the peer
/// after their handler is done.
type Connections = Mutex<Vec<Weak<TcpStream>>>;

/// A TCP server with a thread per connection that can be stopped and started again.
pub(crate) struct Server {
    address: SocketAddr,
    handler: Arc<Handler>,
    accepted: Arc<AtomicUsize>,
    running: Option<Running>,
}

struct Running {
    listener: Arc<TcpListener>,
    connections: Arc<Connections>,
    accepter: JoinHandle<()>,
}

impl Server {
    /// Listens on `address` and hands every connection to `handler`, on a thread of its own.
    pub(crate) fn start(
        address: SocketAddr,
        handler: impl Fn(&TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let mut server = Self {
            address,
            handler: Arc::new(handler),
            accepted: Arc::default(),
            running: None,
        };
        server.restart();
        server
    }

    /// Answers every HTTP request with `name` and a newline, as nginx's `return 200` does.
    pub(crate) fn named(address: SocketAddr, name: &str) -> Self {
        let body = format!("{name}\n");
        Self::start(address, move |stream| {
            // Health checks and stopped servers end connections early: nothing to tell.
            let _ = answer(stream, &body);
        })
    }

    /// Sends back what it gets until the client has sent all.
    pub(crate) fn echo(address: SocketAddr) -> Self {
        Self::start(address, |stream| {
            let _ = io::copy(&mut &*stream, &mut &*stream);
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far. Checks that only connect are not among them.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Listens again after [`Server::stop`].
    pub(crate) fn restart(&mut self) {
        assert!(self.running.is_none(), "{} runs already", self.address);
        let listener = TcpListener::bind(self.address)
            .unwrap_or_else(|error| panic!("cannot listen on {}: {error}", self.address));
        let listener = Arc::new(listener);
        let connections = Arc::<Connections>::default();
        let accepter = {
            let listener = Arc::clone(&listener);
            let connections = Arc::clone(&connections);
            let handler = Arc::clone(&self.handler);
            let accepted = Arc::clone(&self.accepted);
            thread::spawn(move || accept(&listener, &handler, &accepted, &connections))
        };
        self.running = Some(Running {
            listener,
            connections,
            accepter,
        });
    }

    /// Closes the listener and every connection. The port refuses when this returns.
    pub(crate) fn stop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        // Wakes the thread that waits in `accept`.
        let _ = SockRef::from(&*running.listener).shutdown(Shutdown::Both);
        running.accepter.join().expect("the accepter never panics");
        let connections = running.connections.lock().expect("not poisoned");
        for connection in connections.iter().filter_map(Weak::upgrade) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(
    listener: &TcpListener,
    handler: &Arc<Handler>,
    accepted: &AtomicUsize,
    connections: &Connections,
) {
    while let Ok((stream, _)) = listener.accept() {
        accepted.fetch_add(1, Ordering::SeqCst);
        let stream = Arc::new(stream);
        let mut open = connections.lock().expect("not poisoned");
        open.retain(|connection| connection.strong_count() > 0);
        open.push(Arc::downgrade(&stream));
        drop(open);
        let handler = Arc::clone(handler);
        thread::spawn(move || handler(&stream));
    }
}

fn answer(mut stream: &TcpStream, body: &str) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}")?;
    // The client closes first, as it would with nginx, so that nothing unread resets it.
    stream.shutdown(Shutdown::Write)?;
    reader.read_to_end(&mut Vec::new()).map(drop)
}

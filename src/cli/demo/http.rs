//! Serving HTTP/1 on a listener until told to stop.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};

/// How long to wait when connections cannot be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// What answers requests.
pub(super) trait Handler: 'static {
    /// The answer to one request.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<String>>;
}

/// A listener that is being served.
#[derive(Debug)]
pub(super) struct Serving {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Serving {
    /// Serves until [`Serving::stop`].
    pub(super) fn start(listener: TcpListener, handler: impl Handler) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (stop, stopped) = watch::channel(false);
        let accepting = spawn_local(accept(listener, Rc::new(handler), stopped));
        Ok(Self { stop, accepting })
    }

    /// Closes the listener: when this returns, connections are refused. Requests that were
    /// already sent are answered, as by any server that is asked to quit.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        // It fails only if accepting has ended by itself, and then the listener is closed too.
        let _ = self.accepting.await;
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    handler: Rc<impl Handler>,
    stopped: watch::Receiver<bool>,
) {
    let serve = |stream| {
        spawn_local(serve(stream, Rc::clone(&handler), stopped.clone()));
    };
    let mut stop = stopped.clone();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => serve(stream),
                // Without descriptors it would fail again and again at full speed.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = accepting => {}
    }
    // Closing the listener would reset those that the kernel has connected already.
    if let Ok(listener) = listener.into_std() {
        while let Ok((stream, _)) = listener.accept() {
            let stream = stream.set_nonblocking(true).map(|()| stream);
            if let Ok(stream) = stream.and_then(TcpStream::from_std) {
                serve(stream);
            }
        }
    }
}

async fn serve(stream: TcpStream, handler: Rc<impl Handler>, mut stopped: watch::Receiver<bool>) {
    let (answered, stopping) = (Cell::new(false), stopped.clone());
    let service = service_fn(async |request| {
        let mut response = handler.answer(request).await;
        if *stopping.borrow() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        answered.set(true);
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // An error is a client that has left or that does not speak HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    // One that has not asked yet gets its answer first.
    if answered.get() {
        connection.as_mut().graceful_shutdown();
    }
    let _ = connection.await;
}

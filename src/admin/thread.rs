//! The thread that serves the page, which makes way for those that forward bytes and for the one
//! that checks servers.
//!
//! Answers, TLS handshakes and passwords take time as often as somebody asks for them. On the
//! control thread that would keep checks waiting, and with the priority of a worker it would keep
//! sessions waiting that share its core. The priority says how the core is shared, but not how soon
//! a worker that wakes up gets it: for that, long answers offer it
//! ([`courtesy`](crate::sys::courtesy)).

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Running;
use super::answer::Site;
use super::http;
use super::orders::Orders;
use crate::config::StatsConfig;

/// How much the thread makes way; 19 is the most (setpriority(2)). It keeps a tenth of a core that
/// a worker would have all of, so that orchestrators get an answer from a busy machine as well.
const NICENESS: i32 = 10;

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub struct PageThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl PageThread {
    /// Starts to serve the page of a running proxy on `listeners`, which do not block; `orders`
    /// leads to whoever changes servers.
    ///
    /// # Errors
    /// When a thread or an event loop cannot be made.
    pub fn start(
        listeners: Vec<StdListener>,
        settings: Arc<StatsConfig>,
        running: Running,
        orders: Orders,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .thread_name("stats-password")
            .on_thread_start(make_way)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("stats".into()).spawn(move || {
            make_way();
            runtime.block_on(serve(listeners, settings, running, orders, stopped));
            // Nobody waits for a password that is being verified.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for PageThread {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "stats", "The thread of the stats page has failed.");
        }
    }
}

async fn serve(
    listeners: Vec<StdListener>,
    settings: Arc<StatsConfig>,
    running: Running,
    orders: Orders,
    stopped: oneshot::Receiver<()>,
) {
    let places = http::places_each(listeners.len());
    let tls = settings
        .tls
        .as_ref()
        .map(|tls| Arc::clone(&tls.config).into());
    let site = Arc::new(Site::new(settings, running, Some(orders)));
    let mut sites = JoinSet::new();
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                sites.spawn(http::serve(
                    listener,
                    Arc::clone(&site),
                    tls.clone(),
                    places,
                ));
            }
            Err(error) => {
                tracing::error!(target: "stats", "The stats page cannot be served: {error}.");
            }
        }
    }
    // It is dropped rather than used.
    let _ = stopped.await;
}

/// Linux counts niceness for each thread.
fn make_way() {
    // Without it all is as it would be without a thread of its own.
    let _ = rustix::process::nice(NICENESS);
}

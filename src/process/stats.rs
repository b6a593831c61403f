//! The stats page while the process runs: where it is served, and how.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::listeners::{self, Listening};
use crate::admin::Running;
use crate::admin::orders::Orders;
use crate::admin::thread::PageThread;
use crate::config::StatsConfig;
use crate::upgrade::{Offer, Offered};

/// The stats page at its addresses.
#[derive(Debug)]
pub(super) struct StatsPages {
    running: Running,
    orders: Orders,
    settings: Option<StatsConfig>,
    /// Held, so that other settings can be served without closing them.
    listeners: HashMap<SocketAddr, (Vec<TcpListener>, Option<Offered>)>,
    /// What the next process gets.
    offer: Offer,
    /// Ends what it serves when it is dropped.
    page: Option<PageThread>,
}

impl StatsPages {
    /// Of `running`, which takes `orders`, and served nowhere yet.
    pub(super) fn new(running: Running, orders: Orders, offer: Offer) -> Self {
        Self {
            running,
            orders,
            settings: None,
            listeners: HashMap::new(),
            offer,
            page: None,
        }
    }

    /// Where it is served.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.keys().copied()
    }

    pub(super) fn has(&self, address: SocketAddr) -> bool {
        self.listeners.contains_key(&address)
    }

    /// Serves the page with `settings`, also on the `new` listeners, and no longer where they do
    /// not say so. Where nothing changes, nothing is touched.
    ///
    /// # Errors
    /// When there is no thread or event loop for it.
    pub(super) fn follow(
        &mut self,
        new: Vec<Listening>,
        settings: Option<&StatsConfig>,
    ) -> io::Result<()> {
        if new.is_empty() && self.settings.as_ref() == settings {
            return Ok(());
        }
        for (address, listeners) in new {
            let offered = listeners::offered(&self.offer, address, &listeners);
            self.listeners.insert(address, (listeners, offered));
        }
        let wanted = |address: &SocketAddr| settings.is_some_and(|s| s.bind.contains(address));
        self.listeners.retain(|address, _| wanted(address));
        self.settings = settings.cloned();
        // The one before has to give its connections' places away first.
        self.page = None;
        if let Some(settings) = settings {
            let listeners = self.listeners.values().flat_map(|(listeners, _)| listeners);
            let listeners = listeners.map(TcpListener::try_clone);
            let listeners = listeners.collect::<io::Result<_>>()?;
            let (running, orders) = (self.running.clone(), self.orders.clone());
            let settings = Arc::new(settings.clone());
            self.page = Some(PageThread::start(listeners, settings, running, orders)?);
        }
        Ok(())
    }
}

//! What a process can give to another: a copy of every socket that it listens on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

/// The copies, by name; nothing is copied where there is no `upgrade_socket`. Clones are the same
/// offer. A copy keeps a socket open, so whoever closes a listener has to withdraw it.
#[derive(Debug, Clone)]
pub struct Offer(Option<Rc<RefCell<Copies>>>);

type Copies = BTreeMap<String, Vec<OwnedFd>>;

/// A listener that is offered until this is dropped.
#[derive(Debug)]
pub struct Offered {
    offer: Offer,
    name: String,
}

impl Offer {
    /// Of nothing yet, or of nothing ever if it is not `wanted`.
    pub fn new(wanted: bool) -> Self {
        Self(wanted.then(Rc::default))
    }

    /// Offers the sockets of one address.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn add<S: AsFd>(&self, name: String, sockets: &[S]) -> io::Result<Offered> {
        if let Some(copies) = &self.0 {
            let copy = |socket: &S| socket.as_fd().try_clone_to_owned();
            let sockets = sockets.iter().map(copy).collect::<io::Result<_>>()?;
            copies.borrow_mut().insert(name.clone(), sockets);
        }
        let offer = self.clone();
        Ok(Offered { offer, name })
    }

    /// Copies of all that is offered, each with its name.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn copies(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let Some(copies) = &self.0 else {
            return Ok(Vec::new());
        };
        let copies = copies.borrow();
        let all = copies
            .iter()
            .flat_map(|(name, sockets)| sockets.iter().map(move |socket| (name, socket)));
        all.map(|(name, socket)| Ok((name.clone(), socket.try_clone()?)))
            .collect()
    }

    /// Withdraws everything, so that what nobody else has is closed.
    pub fn withdraw(&self) {
        if let Some(copies) = &self.0 {
            copies.borrow_mut().clear();
        }
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        if let Some(copies) = &self.offer.0 {
            copies.borrow_mut().remove(&self.name);
        }
    }
}

/// What the sockets of a TCP address are called.
pub fn tcp(address: SocketAddr) -> String {
    address.to_string()
}

/// What a Unix socket is called.
pub fn unix(path: &Path) -> String {
    format!("{UNIX}{}", path.display())
}

/// What the names of Unix sockets begin with.
pub(super) const UNIX: &str = "unix:";

//! The servers that the demo's proxy forwards to. Each answers everything with its name.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};

use super::address::KeptAddress;
use super::http::{Handler, Serving};

/// A server's position in [`NAMES`].
pub(super) type Index = usize;

/// The servers in the order of `demo.toml`, which people number from 1.
pub(super) const NAMES: [&str; 6] = ["web-1", "web-2", "spare-1", "spare-2", "farm-1", "farm-2"];

/// The server with this name, or with this number as people count.
pub(super) fn find(word: &str) -> Option<Index> {
    let numbered = || word.parse::<usize>().ok()?.checked_sub(1);
    let named = NAMES.iter().position(|name| *name == word);
    named.or_else(numbered).filter(|index| *index < NAMES.len())
}

/// The variable of `demo.toml` that holds a server's address.
pub(super) fn variable(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

/// One server's address, which it has whether it runs or not.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    address: KeptAddress,
    /// `None` while it is stopped.
    serving: RefCell<Option<Serving>>,
}

impl Server {
    /// All servers, stopped, each with a free port.
    pub(super) fn all() -> io::Result<Vec<Self>> {
        let server = |&name| {
            Ok(Self {
                name,
                address: KeptAddress::take(0)?,
                serving: RefCell::new(None),
            })
        };
        NAMES.iter().map(server).collect()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address.address()
    }

    pub(super) fn is_running(&self) -> bool {
        self.serving.borrow().is_some()
    }

    /// Answers from now on. Returns whether it was stopped before.
    pub(super) fn start(&self) -> io::Result<bool> {
        if self.is_running() {
            return Ok(false);
        }
        let serving = Serving::start(self.address.listen()?, Named(self.name))?;
        Ok(self.serving.replace(Some(serving)).is_none())
    }

    /// Refuses connections from now on. Returns whether it ran before.
    pub(super) async fn stop(&self) -> bool {
        let serving = self.serving.take();
        match serving {
            Some(serving) => {
                serving.stop().await;
                true
            }
            None => false,
        }
    }
}

struct Named(&'static str);

impl Handler for Named {
    async fn answer(&self, _: Request<Incoming>) -> Response<String> {
        text(format!("{}\n", self.0))
    }
}

/// An answer of plain text.
pub(super) fn text(body: String) -> Response<String> {
    let mut response = Response::new(body);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::super::traffic;
    use super::*;

    #[test]
    fn servers_are_known_by_name_and_number() {
        assert_eq!(find("web-1"), Some(0));
        assert_eq!(find("6"), Some(5));
        for nobody in ["0", "7", "web", ""] {
            assert_eq!(find(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn a_server_answers_with_its_name_unless_it_is_stopped() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let server = Server::all().unwrap().remove(1);
            for _ in 0..2 {
                assert!(server.start().unwrap() && !server.start().unwrap());
                assert_eq!(traffic::ask(server.address()).await.unwrap(), "web-2");
                assert!(server.stop().await && !server.stop().await);
                let refused = traffic::ask(server.address()).await.unwrap_err();
                assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            }
        });
    }
}

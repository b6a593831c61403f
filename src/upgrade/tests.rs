use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use super::*;
use crate::state::{Clock, Saved};
use crate::topology::sample;

fn state() -> Saved {
    let topology = sample::single_farm(false);
    sample::take_down(&topology, 0, 0);
    Saved::of(&topology, Clock::now())
}

/// A path to listen on that goes with its value.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("backstop-upgrade-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Connections between an old process that does `old` and a new one that does `new`.
fn both<T>(
    name: &str,
    old: impl FnOnce(UnixStream) -> io::Result<Heir> + Send + 'static,
    new: impl FnOnce(&std::path::Path) -> T,
) -> (io::Result<Heir>, T) {
    let place = Place::new(name);
    let listener = UnixListener::bind(&place.0).unwrap();
    let old = thread::spawn(move || old(listener.accept()?.0));
    let new = new(&place.0);
    (old.join().unwrap(), new)
}

#[test]
fn every_socket_and_the_state_come_over() {
    let listeners: Vec<_> = (0..150)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
    let copies: Vec<(String, OwnedFd)> = listeners
        .iter()
        .zip(&addresses)
        .flat_map(|(listener, address)| {
            let copy = || OwnedFd::from(listener.try_clone().unwrap());
            [
                (offer::tcp(*address), copy()),
                (offer::tcp(*address), copy()),
            ]
        })
        .collect();
    // It waits in the queue of a socket that nobody serves any more.
    let mut waiting = TcpStream::connect(addresses[77]).unwrap();
    drop(listeners);
    let saved = state();
    let given = saved.clone();
    let old = move |stream| {
        let heir = give::give(stream, copies, given)?;
        heir.confirm();
        Err(io::Error::other("confirmed"))
    };
    let (old, mut inheritance) = both("all", old, |path| {
        let mut inheritance = take::take(path).unwrap().unwrap();
        let sockets: BTreeMap<_, _> = addresses
            .iter()
            .map(|address| {
                (
                    *address,
                    inheritance.sockets(&offer::tcp(*address)).unwrap(),
                )
            })
            .collect();
        assert!(sockets.values().all(|sockets| sockets.len() == 2));
        let (predecessor, state) = inheritance.rest();
        assert_eq!(predecessor.pid(), std::process::id());
        predecessor.ready().unwrap();
        (sockets, state)
    });
    assert_eq!(old.unwrap_err().to_string(), "confirmed");
    assert_eq!(inheritance.1, saved);
    let socket = inheritance.0.remove(&addresses[77]).unwrap().remove(0);
    let (mut accepted, _) = TcpListener::from(socket).accept().unwrap();
    accepted.write_all(b"x").unwrap();
    waiting.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_process_that_ends_before_it_is_ready_gets_nothing() {
    let old = |stream| give::give(stream, Vec::new(), state());
    let (old, ()) = both("ends", old, |path| drop(take::take(path).unwrap()));
    assert_eq!(old.unwrap_err().to_string(), "it ended before it was ready");
}

#[test]
fn what_is_no_hello_is_refused() {
    for garbage in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        &[0; 8],
        b"",
        b"\0\0\0\0\0\0\0\x02{}",
    ] {
        let old = |stream| give::give(stream, Vec::new(), state());
        let (old, ()) = both("garbage", old, |path| {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(garbage).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            // Until the other side has made up its mind.
            let _ = stream.read(&mut [0]);
        });
        assert!(old.is_err(), "{garbage:?}");
    }
}

#[test]
fn another_version_is_refused() {
    let old = |stream| give::give(stream, Vec::new(), state());
    let (old, ()) = both("version", old, |path| {
        let mut stream = UnixStream::connect(path).unwrap();
        let hello = wire::Hello { version: 2, pid: 7 };
        wire::write_message(&mut stream, &hello).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let error = old.unwrap_err().to_string();
    assert_eq!(error, "process 7 speaks version 2 of the upgrade, not 1");
}

#[test]
fn where_nobody_listens_there_is_nothing_to_take() {
    let place = Place::new("nobody");
    assert!(take::take(&place.0).unwrap().is_none());
    drop(UnixListener::bind(&place.0).unwrap());
    assert!(take::take(&place.0).unwrap().is_none());
}

#[test]
fn fewer_sockets_are_copied_and_more_are_kept() {
    let sockets = |count| -> Vec<socket2::Socket> {
        let listener = || TcpListener::bind("127.0.0.1:0").unwrap().into();
        (0..count).map(|_| listener()).collect()
    };
    assert_eq!(take::at_least(3, sockets(2)).unwrap().len(), 3);
    assert_eq!(take::at_least(2, sockets(3)).unwrap().len(), 3);
}

#[test]
fn what_is_closed_is_not_offered() {
    let offer = Offer::new(true);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let offered = offer.add(offer::tcp(address), &[&listener]).unwrap();
    assert_eq!(offer.copies().unwrap().len(), 1);
    drop(listener);
    // The copy holds the address.
    assert!(TcpListener::bind(address).is_err());
    drop(offered);
    assert!(offer.copies().unwrap().is_empty());
    TcpListener::bind(address).unwrap();
    let nothing = Offer::new(false);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _offered = nothing.add("x".to_owned(), &[&listener]).unwrap();
    assert!(nothing.copies().unwrap().is_empty());
}

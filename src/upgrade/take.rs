//! The new process's part.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use socket2::Socket;

use super::offer::UNIX;
use super::wire::{self, DONE, Estate, Hello, READY};
use crate::state::Saved;

/// For each step of the old process.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an old process has given.
#[derive(Debug)]
pub struct Inheritance {
    listeners: BTreeMap<String, Vec<OwnedFd>>,
    state: Saved,
    predecessor: Predecessor,
}

/// The old process, which goes on until it hears that the new one is ready.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    pid: u32,
    /// Paths of its Unix sockets that nobody has any more.
    left: Vec<String>,
}

/// Asks the process that listens at `path` for what it has; `None` if there is none.
///
/// # Errors
/// When there is one and it does not give it.
pub fn take(path: &Path) -> io::Result<Option<Inheritance>> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    match UnixStream::connect(path) {
        Ok(stream) => from(stream).map(Some),
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

fn from(mut stream: UnixStream) -> io::Result<Inheritance> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    wire::write_message(&mut stream, &Hello::own())?;
    let estate: Estate = wire::read_message(&mut stream)?;
    estate.from.check()?;
    let sockets = wire::receive_descriptors(&stream, estate.listeners.len())?;
    let mut listeners: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, socket) in estate.listeners.into_iter().zip(sockets) {
        listeners.entry(name).or_default().push(socket);
    }
    Ok(Inheritance {
        listeners,
        state: estate.state,
        predecessor: Predecessor {
            stream,
            pid: estate.from.pid,
            left: Vec::new(),
        },
    })
}

impl Inheritance {
    /// The sockets of this name (see [`super::offer`]), if there are any.
    pub fn sockets(&mut self, name: &str) -> Option<Vec<Socket>> {
        let sockets = self.listeners.remove(name)?;
        Some(sockets.into_iter().map(Socket::from).collect())
    }

    /// What is left when all sockets were asked for. The others are closed, which the old process
    /// does not notice.
    pub fn rest(mut self) -> (Predecessor, Saved) {
        let left = self.listeners.into_keys();
        let left = left.filter_map(|name| Some(name.strip_prefix(UNIX)?.to_owned()));
        self.predecessor.left = left.collect();
        (self.predecessor, self.state)
    }
}

impl Predecessor {
    /// Who it is.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Has the old process stop to accept, and waits until it has. It blocks.
    ///
    /// # Errors
    /// When it does not say so.
    pub fn ready(mut self) -> io::Result<()> {
        self.stream.write_all(&[READY])?;
        let mut done = [0];
        self.stream.read_exact(&mut done)?;
        if done != [DONE] {
            return Err(io::Error::other("it says something else"));
        }
        for path in self.left {
            // It leaves them to us, and we do not listen there.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }
}

/// So many sockets for one address: those that are there, and copies if they are fewer. More are
/// kept, because each has a queue of its own.
///
/// # Errors
/// When there is no descriptor left.
pub fn at_least(count: usize, sockets: Vec<Socket>) -> io::Result<Vec<Socket>> {
    let mut sockets = sockets;
    let there = sockets.len();
    for number in there..count {
        let copy = sockets[number % there].try_clone()?;
        sockets.push(copy);
    }
    Ok(sockets)
}

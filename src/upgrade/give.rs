//! The old process's part.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::unistd::geteuid;
use rustix::net::sockopt::socket_peercred;

use super::wire::{self, DONE, Estate, Hello, READY};
use crate::state::Saved;

/// For each step but the next.
const PATIENCE: Duration = Duration::from_secs(10);

/// For the new process to look up names, check servers and begin to accept.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// A process that is ready to have everything.
#[derive(Debug)]
pub struct Heir {
    stream: UnixStream,
    pid: u32,
}

/// Gives `listeners` and `state` to the process at the other end of `stream`, and waits until it
/// is ready. It blocks.
///
/// # Errors
/// When that process is of another user, does not speak our language, or ends. Nothing has
/// changed then.
pub fn give(
    mut stream: UnixStream,
    listeners: Vec<(String, OwnedFd)>,
    state: Saved,
) -> io::Result<Heir> {
    let peer = socket_peercred(&stream)?.uid;
    if !peer.is_root() && peer.as_raw() != geteuid().as_raw() {
        let uid = peer.as_raw();
        return Err(io::Error::other(format!("it is a process of uid {uid}")));
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let hello: Hello = wire::read_message(&mut stream)?;
    hello.check()?;
    let (names, sockets): (Vec<_>, Vec<_>) = listeners.into_iter().unzip();
    let estate = Estate {
        from: Hello::own(),
        listeners: names,
        state,
    };
    wire::write_message(&mut stream, &estate)?;
    wire::send_descriptors(&stream, &sockets)?;
    stream.set_read_timeout(Some(READY_WITHIN))?;
    let mut ready = [0];
    match stream.read(&mut ready)? {
        1 if ready == [READY] => Ok(Heir {
            stream,
            pid: hello.pid,
        }),
        _ => Err(io::Error::other("it ended before it was ready")),
    }
}

impl Heir {
    /// Who it is.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells it that it is alone now.
    pub fn confirm(mut self) {
        // If it is gone there is nobody to tell.
        let _ = self.stream.write_all(&[DONE]);
    }
}

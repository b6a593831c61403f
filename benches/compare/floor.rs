//! The least that relaying in user space can cost: an epoll loop that only forwards.
//!
//! It has no time limits, no counters, no log, no choice but turn-taking, and gives up on any
//! error. What a proxy costs beyond it is what its features cost.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

const BUFFER_BYTES: usize = 64 * 1024;
const LISTENER: u64 = u64::MAX;
const EVENTS: usize = 1024;

/// One of a session's two sockets, and what was read from the other but not taken by this one.
struct End {
    socket: OwnedFd,
    kept: Vec<u8>,
    finished: bool,
}

struct Relay {
    epoll: OwnedFd,
    listener: OwnedFd,
    servers: Vec<SocketAddr>,
    turn: usize,
    sessions: Vec<Option<[End; 2]>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

/// Forwards connections to `listen` to `servers` in turns, until killed.
pub(crate) fn run(listen: SocketAddr, servers: Vec<SocketAddr>) -> io::Result<()> {
    let listener = socket()?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    sockopt::set_tcp_nodelay(&listener, true)?;
    net::bind(&listener, &listen)?;
    net::listen(&listener, 4096)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &epoll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut relay = Relay {
        epoll,
        listener,
        servers,
        turn: 0,
        sessions: Vec::new(),
        free: Vec::new(),
        buffer: vec![0; BUFFER_BYTES],
    };
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
    loop {
        match epoll::wait(&relay.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => relay.accept()?,
                data => relay.serve(data as usize / 2, data as usize % 2, event.flags),
            }
        }
    }
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

impl Relay {
    fn accept(&mut self) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let Ok(client) = net::accept_with(&self.listener, flags) else {
            return Ok(());
        };
        let server = socket()?;
        sockopt::set_tcp_nodelay(&server, true)?;
        self.turn += 1;
        match net::connect(&server, &self.servers[self.turn % self.servers.len()]) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(_) => return Ok(()),
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.sessions.len() - 1
        });
        for (side, socket) in [&client, &server].into_iter().enumerate() {
            let data = EventData::new_u64((id * 2 + side) as u64);
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&self.epoll, socket, data, flags)?;
        }
        self.sessions[id] = Some([client, server].map(|socket| End {
            socket,
            kept: Vec::new(),
            finished: false,
        }));
        Ok(())
    }

    fn serve(&mut self, id: usize, side: usize, flags: EventFlags) {
        let Some(ends) = &mut self.sessions[id] else {
            return;
        };
        let [client, server] = ends;
        let (this, other) = if side == 0 {
            (client, server)
        } else {
            (server, client)
        };
        let readable = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let ended = (|| {
            if flags.contains(EventFlags::OUT) && !this.kept.is_empty() && flush(this)? {
                forward(other, this, &mut self.buffer, false)?;
            }
            if flags.intersects(readable) {
                // An end that is announced with the last bytes is not announced again.
                let ends = !flags
                    .difference(EventFlags::IN | EventFlags::OUT)
                    .is_empty();
                forward(this, other, &mut self.buffer, ends)?;
            }
            Ok::<_, Errno>(this.finished && other.finished)
        })();
        if ended != Ok(false) {
            self.sessions[id] = None;
            self.free.push(id);
        }
    }
}

/// Reads from `from` and writes to `to` until one of them would block or `from` has ended.
fn forward(from: &mut End, to: &mut End, buffer: &mut [u8], ends: bool) -> Result<(), Errno> {
    while to.kept.is_empty() && !from.finished {
        let read =
            match net::recv(&from.socket, &mut *buffer, RecvFlags::empty()).map(|(_, read)| read) {
                Err(Errno::AGAIN) => return Ok(()),
                other => other?,
            };
        if read == 0 {
            from.finished = true;
            if !to.finished {
                net::shutdown(&to.socket, net::Shutdown::Write)?;
            }
            return Ok(());
        }
        let written = match net::send(&to.socket, &buffer[..read], SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => 0,
            other => other?,
        };
        to.kept.extend_from_slice(&buffer[written..read]);
        if read < buffer.len() && !ends {
            return Ok(());
        }
    }
    Ok(())
}

/// Writes what was kept; whether all of it went.
fn flush(end: &mut End) -> Result<bool, Errno> {
    match net::send(&end.socket, &end.kept, SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN) => Ok(false),
        Ok(written) => {
            end.kept.drain(..written);
            Ok(end.kept.is_empty())
        }
        Err(error) => Err(error),
    }
}

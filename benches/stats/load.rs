//! Clients and servers on one thread that never sleeps, so that nothing but the proxy keeps them
//! waiting.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// A request through the proxy, and the answer to it.
const MESSAGE: &[u8; 128] = &[b'a'; 128];

/// Connections through the proxy.
const CONNECTIONS: usize = 64;

/// Connections on which the page is asked.
const ASKING: usize = 16;

/// After this time a stalled client that was thrown out comes again.
const AGAIN: Duration = Duration::from_secs(1);

/// What happens in it is not counted.
const WARM_UP: Duration = Duration::from_millis(500);

/// The page and others of its kind, in turns, by `admin:admin`.
const REQUESTS: [&[u8]; 3] = [
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n\r\n",
    b"GET /;csv HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n\r\n",
];

/// How an answer in chunks ends.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// What is done to the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Siege {
    pub(crate) page: SocketAddr,
    /// A second.
    pub(crate) requests: u32,
    pub(crate) stalled: usize,
}

/// Latencies in seconds, and counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) page_answers: f64,
    pub(crate) page_p99: f64,
    /// Stalled clients that were thrown out.
    pub(crate) thrown_out: f64,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Client,
    Asker,
    Staller,
}

struct Peer {
    role: Role,
    stream: TcpStream,
    /// When the request that is on its way was due.
    due: Option<Instant>,
    received: usize,
    /// The last bytes that came.
    tail: Vec<u8>,
}

/// Requests that are due at a fixed rate.
struct Pace {
    gap: Duration,
    next: Instant,
    late: VecDeque<Instant>,
    latencies: Vec<Duration>,
}

impl Pace {
    fn new(rate: u32, from: Instant) -> Self {
        Self {
            gap: Duration::from_secs_f64(1.0 / f64::from(rate.max(1))),
            next: from,
            late: VecDeque::new(),
            latencies: Vec::new(),
        }
    }

    fn advance(&mut self, now: Instant) {
        while self.next <= now {
            self.late.push_back(self.next);
            self.next += self.gap;
        }
    }

    fn quantile(&mut self, q: f64) -> f64 {
        self.latencies.sort_unstable();
        let index = (self.latencies.len().saturating_sub(1) as f64 * q) as usize;
        self.latencies.get(index).map_or(0.0, Duration::as_secs_f64)
    }
}

/// One measurement.
struct Run {
    through: Pace,
    asked: Pace,
    siege: Option<Siege>,
    count_from: Instant,
    /// Which request to the page is next.
    turn: usize,
    thrown_out: u32,
    /// When stalled clients come again.
    again: VecDeque<Instant>,
}

impl Run {
    fn new(rate: u32, siege: Option<Siege>, start: Instant) -> Self {
        Self {
            through: Pace::new(rate, start),
            asked: Pace::new(siege.map_or(1, |siege| siege.requests), start),
            siege,
            count_from: start + WARM_UP,
            turn: 0,
            thrown_out: 0,
            again: VecDeque::new(),
        }
    }

    fn pace(&mut self, role: Role) -> &mut Pace {
        match role {
            Role::Asker => &mut self.asked,
            _ => &mut self.through,
        }
    }

    fn seen(mut self) -> Seen {
        Seen {
            p50: self.through.quantile(0.5),
            p90: self.through.quantile(0.9),
            p99: self.through.quantile(0.99),
            p999: self.through.quantile(0.999),
            page_answers: self.asked.latencies.len() as f64,
            page_p99: self.asked.quantile(0.99),
            thrown_out: self.thrown_out.into(),
        }
    }
}

/// One thread's clients and servers.
pub(crate) struct Load {
    epoll: OwnedFd,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    buffer: Vec<u8>,
}

/// The number under which epoll tells of the listener.
const LISTENER: u64 = u64::MAX;

impl Load {
    /// Serves on `listener` and connects to `entrance`.
    pub(crate) fn new(listener: TcpListener, entrance: SocketAddr) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        listener.set_nonblocking(true)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        let mut load = Self {
            epoll,
            listener,
            peers: Vec::new(),
            buffer: vec![0; 256 * 1024],
        };
        for _ in 0..CONNECTIONS {
            load.add(Role::Client, TcpStream::connect(entrance)?)?;
        }
        Ok(load)
    }

    fn add(&mut self, role: Role, stream: TcpStream) -> io::Result<usize> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let free = self.peers.iter().position(Option::is_none);
        let index = free.unwrap_or(self.peers.len());
        let data = EventData::new_u64(index as u64);
        epoll::add(&self.epoll, stream.as_fd(), data, EventFlags::IN)?;
        let peer = Peer {
            role,
            stream,
            due: None,
            received: 0,
            tail: Vec::new(),
        };
        match self.peers.get_mut(index) {
            Some(place) => *place = Some(peer),
            None => self.peers.push(Some(peer)),
        }
        Ok(index)
    }

    /// Sends `rate` requests a second through the proxy for `length`, beside a siege of the page.
    pub(crate) fn run(
        &mut self,
        rate: u32,
        length: Duration,
        siege: Option<Siege>,
    ) -> io::Result<Seen> {
        let start = Instant::now();
        let mut run = Run::new(rate, siege, start);
        if let Some(siege) = siege {
            for _ in 0..ASKING {
                self.add(Role::Asker, TcpStream::connect(siege.page)?)?;
            }
            for _ in 0..siege.stalled {
                self.stall(siege.page)?;
            }
        }
        let mut events: Vec<Event> = Vec::with_capacity(256);
        while start.elapsed() < length + WARM_UP {
            epoll::wait(
                &self.epoll,
                spare_capacity(&mut events),
                Some(&Timespec::default()),
            )?;
            for event in std::mem::take(&mut events) {
                self.handle(event.data.u64(), &mut run)?;
            }
            events.reserve(256);
            run.through.advance(Instant::now());
            self.send(Role::Client, &mut run.through, || MESSAGE)?;
            let Some(siege) = siege else { continue };
            while run
                .again
                .front()
                .is_some_and(|moment| *moment <= Instant::now())
            {
                run.again.pop_front();
                self.stall(siege.page)?;
            }
            run.asked.advance(Instant::now());
            let turn = &mut run.turn;
            self.send(Role::Asker, &mut run.asked, || {
                *turn += 1;
                REQUESTS[*turn % REQUESTS.len()]
            })?;
        }
        for place in &mut self.peers {
            place.take_if(|peer| matches!(peer.role, Role::Asker | Role::Staller));
        }
        self.settle()?;
        Ok(run.seen())
    }

    fn handle(&mut self, number: u64, run: &mut Run) -> io::Result<()> {
        if number == LISTENER {
            return self.accept();
        }
        let index = number as usize;
        let Some(peer) = self.peers[index].as_mut() else {
            return Ok(());
        };
        let (role, due) = (peer.role, peer.due);
        match (role, peer.receive(&mut self.buffer)) {
            (_, Ok(false)) => {}
            (_, Ok(true)) => {
                peer.due = None;
                let counted = due.filter(|due| *due >= run.count_from);
                run.pace(role)
                    .latencies
                    .extend(counted.map(|due| due.elapsed()));
            }
            (Role::Client, Err(error)) => return Err(error),
            (_, Err(_)) => {
                self.peers[index] = None;
                self.ended(role, due, run)?;
            }
        }
        Ok(())
    }

    /// Takes note that the proxy has closed a connection to its page, or one to a server.
    fn ended(&mut self, role: Role, due: Option<Instant>, run: &mut Run) -> io::Result<()> {
        match (role, run.siege) {
            (Role::Staller, Some(_)) => {
                let now = Instant::now();
                run.thrown_out += u32::from(now >= run.count_from);
                run.again.push_back(now + AGAIN);
            }
            (Role::Asker, Some(siege)) => {
                run.asked.late.extend(due);
                self.add(Role::Asker, TcpStream::connect(siege.page)?)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Waits until no request is on its way through the proxy any more.
    fn settle(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let busy = |peers: &[Option<Peer>]| peers.iter().flatten().any(|peer| peer.due.is_some());
        let mut events: Vec<Event> = Vec::with_capacity(256);
        while busy(&self.peers) {
            if Instant::now() > deadline {
                return Err(io::Error::other("an answer did not come"));
            }
            epoll::wait(
                &self.epoll,
                spare_capacity(&mut events),
                Some(&Timespec::default()),
            )?;
            for event in std::mem::take(&mut events) {
                let peer = self.peers.get_mut(event.data.u64() as usize);
                if let Some(Some(peer)) = peer
                    && peer.receive(&mut self.buffer)?
                {
                    peer.due = None;
                }
            }
            events.reserve(256);
        }
        Ok(())
    }

    fn stall(&mut self, page: SocketAddr) -> io::Result<()> {
        let mut stream = TcpStream::connect(page)?;
        // It may be thrown out already.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: ");
        self.add(Role::Staller, stream).map(drop)
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.add(Role::Server, stream).map(drop)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what is due on what is free.
    fn send(
        &mut self,
        role: Role,
        pace: &mut Pace,
        mut request: impl FnMut() -> &'static [u8],
    ) -> io::Result<()> {
        if pace.late.is_empty() {
            return Ok(());
        }
        let idle = |peer: &&mut Peer| peer.role == role && peer.due.is_none();
        for peer in self.peers.iter_mut().flatten().filter(idle) {
            let Some(due) = pace.late.pop_front() else {
                break;
            };
            peer.due = Some(due);
            peer.received = 0;
            match peer.stream.write_all(request()) {
                Err(error) if role == Role::Client => return Err(error),
                // Its end will be read.
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Peer {
    /// Takes what has come. Returns whether an answer is complete.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let read = match self.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        self.received += read;
        match self.role {
            Role::Server => {
                while self.received >= MESSAGE.len() {
                    self.received -= MESSAGE.len();
                    self.stream.write_all(MESSAGE)?;
                }
                Ok(false)
            }
            Role::Client => Ok(self.received >= MESSAGE.len()),
            Role::Asker => {
                self.tail.extend_from_slice(&buffer[..read]);
                let start = self.tail.len().saturating_sub(LAST_CHUNK.len());
                self.tail.drain(..start);
                Ok(self.tail == LAST_CHUNK)
            }
            Role::Staller => Ok(false),
        }
    }
}

//! Requests at a fixed rate, whatever the answers take, and connections that only wait.
//!
//! A generator that waits for an answer before it sends the next request hides the answers that
//! are late. Here each request has its moment, and its latency counts from that moment on.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::thread::{CpuSet, sched_setaffinity};

const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n";
const CONNECTIONS: usize = 64;
/// What happens in it is not counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// Latencies in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

struct Connection {
    stream: TcpStream,
    /// When the request that is on its way was due.
    due: Instant,
    received: usize,
}

struct Generator {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    free: Vec<usize>,
    answer_length: usize,
    /// Due, but all connections were busy.
    late: VecDeque<Instant>,
    latencies: Vec<Duration>,
    count_from: Instant,
}

/// Sends `rate` requests a second to `target` for `length`, from `core`.
pub(crate) fn run(
    target: SocketAddr,
    rate: f64,
    length: Duration,
    core: usize,
) -> io::Result<Latency> {
    let thread = std::thread::spawn(move || {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(None, &set)?;
        Generator::new(target)?.run(rate, length)
    });
    let mut latencies = thread
        .join()
        .map_err(|_| io::Error::other("the load generator panicked"))??;
    latencies.sort_unstable();
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize].as_secs_f64();
    Ok(Latency {
        p50: quantile(0.5),
        p99: quantile(0.99),
        p999: quantile(0.999),
    })
}

impl Generator {
    fn new(target: SocketAddr) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut answer_length = 0;
        let mut connections = Vec::new();
        for index in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(target)?;
            stream.set_nodelay(true)?;
            answer_length = ask(&mut stream)?;
            stream.set_nonblocking(true)?;
            epoll::add(
                &epoll,
                &stream,
                EventData::new_u64(index as u64),
                EventFlags::IN,
            )?;
            connections.push(Connection {
                stream,
                due: Instant::now(),
                received: 0,
            });
        }
        Ok(Self {
            epoll,
            connections,
            free: (0..CONNECTIONS).collect(),
            answer_length,
            late: VecDeque::new(),
            latencies: Vec::new(),
            count_from: Instant::now() + WARM_UP,
        })
    }

    fn run(mut self, rate: f64, length: Duration) -> io::Result<Vec<Duration>> {
        let start = Instant::now();
        let gap = Duration::from_secs_f64(1.0 / rate);
        let mut next = start;
        let mut events: Vec<Event> = Vec::with_capacity(CONNECTIONS);
        while start.elapsed() < length + WARM_UP {
            // Never sleeping: waking up would take longer than what is measured.
            let timeout = Timespec::default();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout))?;
            for event in events.drain(..) {
                self.receive(event.data.u64() as usize)?;
            }
            while next <= Instant::now() {
                self.late.push_back(next);
                next += gap;
            }
            while let (Some(&due), Some(&index)) = (self.late.front(), self.free.last()) {
                let connection = &mut self.connections[index];
                connection.due = due;
                connection.stream.write_all(REQUEST)?;
                self.free.pop();
                self.late.pop_front();
            }
        }
        if self.latencies.is_empty() {
            return Err(io::Error::other("no answer came in time"));
        }
        Ok(self.latencies)
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        match connection.stream.read(&mut [0; 4096]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => connection.received += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if connection.received >= self.answer_length {
            connection.received = 0;
            let now = Instant::now();
            if connection.due >= self.count_from {
                self.latencies.push(now - connection.due);
            }
            self.free.push(index);
        }
        Ok(())
    }
}

/// Makes `count` connections to `target` that have had one answer each.
pub(crate) fn idle(target: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(target)?;
            ask(&mut stream)?;
            Ok(stream)
        })
        .collect()
}

/// One request and its whole answer, whose length is returned.
pub(crate) fn ask(stream: &mut TcpStream) -> io::Result<usize> {
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..read]);
        // The body has no line ends and is the last thing of the answer.
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                return Ok(answer.len());
            }
        }
    }
}

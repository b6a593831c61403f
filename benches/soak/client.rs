//! Sessions of several kinds, one after the other by each of many clients.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use crate::bytes::{Chance, Request, Stream, end};

/// Session number n comes from this address plus n, so that its log line is known by it.
const FIRST_SOURCE: u32 = 0x7f80_0000;

/// More than any session takes. What lasts longer has been forgotten.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A small request and a small answer.
    Short,
    /// Many bytes both ways.
    Bulk,
    /// Takes its answer slowly.
    SlowReader,
    /// Sends a part of its request and then nothing, until the proxy has had enough.
    HalfOpen,
    /// Ends its side before the server begins.
    HalfClose,
    /// Resets the connection in the middle.
    Reset,
}

pub(crate) const KINDS: [Kind; 6] = [
    Kind::Short,
    Kind::Bulk,
    Kind::SlowReader,
    Kind::HalfOpen,
    Kind::HalfClose,
    Kind::Reset,
];

/// A session as its client saw it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) failed: Option<io::Error>,
}

/// Which session a log line with this client address is about.
pub(crate) fn id_of(source: Ipv4Addr) -> Option<u32> {
    source.to_bits().checked_sub(FIRST_SOURCE)
}

/// Where sessions go, and which numbers they get.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) entrances: Vec<SocketAddr>,
    pub(crate) clients: u32,
    pub(crate) seed: u64,
    pub(crate) next: Arc<AtomicU32>,
}

/// Has clients begin sessions until `stop`, and waits for the last of them.
pub(crate) fn start(plan: Plan, stop: Arc<AtomicBool>) -> JoinHandle<Vec<Told>> {
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("an event loop");
        LocalSet::new().block_on(&runtime, async move {
            let mut clients = JoinSet::new();
            for number in 0..plan.clients {
                clients.spawn_local(client(plan.clone(), number, Arc::clone(&stop)));
            }
            clients.join_all().await.into_iter().flatten().collect()
        })
    })
}

async fn client(plan: Plan, number: u32, stop: Arc<AtomicBool>) -> Vec<Told> {
    let mut chance = Chance::new(plan.seed << 32 ^ u64::from(number));
    let mut told = Vec::new();
    while !stop.load(Relaxed) {
        sleep(chance.ms(0..200)).await;
        let entrance = plan.entrances[chance.within(0..plan.entrances.len() as u64) as usize];
        let kind = match chance.within(0..100) {
            0..60 => Kind::Short,
            60..75 => Kind::HalfClose,
            75..85 => Kind::Reset,
            85..92 => Kind::Bulk,
            92..98 => Kind::SlowReader,
            _ => Kind::HalfOpen,
        };
        let id = plan.next.fetch_add(1, Relaxed);
        told.push(one(id, kind, entrance, &mut chance).await);
    }
    told
}

fn request(id: u32, kind: Kind, chance: &mut Chance) -> Request {
    let (up, down) = match kind {
        Kind::Short | Kind::HalfOpen => (0..2_000, 1..8_000),
        Kind::HalfClose => (0..100_000, 1..100_000),
        Kind::Bulk | Kind::Reset => (0..8 << 20, 1..8 << 20),
        Kind::SlowReader => (0..1_000, 200_000..1 << 20),
    };
    Request {
        id,
        up: chance.within(up),
        down: chance.within(down),
        after_end: kind == Kind::HalfClose,
    }
}

async fn one(id: u32, kind: Kind, entrance: SocketAddr, chance: &mut Chance) -> Told {
    let request = request(id, kind, chance);
    let began = Instant::now();
    let streams = Rc::new((request.upload(), request.download()));
    let head = Rc::new(Cell::new(0));
    let run = async {
        let mut stream = connect(id, kind, entrance).await?;
        match kind {
            Kind::HalfOpen => half_open(&mut stream, &request, &head).await,
            Kind::Reset => {
                let patience = chance.ms(1..300);
                let talk = talk(&mut stream, kind, &request, &streams, &head);
                let ended = timeout(patience, talk).await;
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                ended.unwrap_or(Ok(()))
            }
            _ => talk(&mut stream, kind, &request, &streams, &head).await,
        }
    };
    let result = timeout(FORGOTTEN, run).await;
    Told {
        id,
        kind,
        began,
        ended: Instant::now(),
        sent: head.get() + streams.0.done.get(),
        received: streams.1.done.get(),
        failed: match result {
            Ok(result) => result.err(),
            Err(_) => Some(io::ErrorKind::TimedOut.into()),
        },
    }
}

async fn connect(id: u32, kind: Kind, entrance: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if kind == Kind::SlowReader {
        socket.set_recv_buffer_size(16 << 10)?;
    }
    let source = IpAddr::V4(Ipv4Addr::from_bits(FIRST_SOURCE + id));
    socket.bind((source, 0).into())?;
    let stream = socket.connect(entrance).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A whole session.
async fn talk(
    stream: &mut TcpStream,
    kind: Kind,
    request: &Request,
    (upload, download): &(Stream, Stream),
    head: &Cell<u64>,
) -> io::Result<()> {
    let (mut input, mut output) = stream.split();
    output.write_all(&request.encode()).await?;
    head.set(Request::LENGTH as u64);
    let (step, pause) = match kind {
        Kind::SlowReader => (8 << 10, Duration::from_millis(20)),
        _ => (usize::MAX, Duration::ZERO),
    };
    let sending = async {
        upload.send(&mut output).await?;
        if request.after_end {
            output.shutdown().await?;
        }
        io::Result::Ok(())
    };
    let receiving = async {
        download.receive(&mut input, step, pause).await?;
        end(&mut input).await
    };
    tokio::try_join!(sending, receiving)?;
    Ok(())
}

async fn half_open(stream: &mut TcpStream, request: &Request, head: &Cell<u64>) -> io::Result<()> {
    let part = &request.encode()[..Request::LENGTH / 2];
    stream.write_all(part).await?;
    head.set(part.len() as u64);
    // That it ends is what is waited for, in whatever way.
    stream.ready(Interest::READABLE).await.map(drop)
}

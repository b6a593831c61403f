//! What hostile clients do, for as long as they may.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::setpriority_process;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::subjects::Places;

/// Something that hostile clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Nothing, to compare with.
    Quiet,
    /// Very many connect and say nothing.
    Idle,
    /// Many send a request to the stats page a byte at a time.
    SlowStats,
    /// Many send a PROXY header a byte at a time.
    SlowHeader,
    /// Connections that begin with garbage where a PROXY header is due, as fast as is allowed.
    Garbage,
    /// Connections that are reset at once, as fast as is allowed.
    Resets,
}

pub(crate) const ATTACKS: [Attack; 6] = [
    Attack::Quiet,
    Attack::Idle,
    Attack::SlowStats,
    Attack::SlowHeader,
    Attack::Garbage,
    Attack::Resets,
];

/// How many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strength {
    /// Clients that are idle.
    pub(crate) idle: u32,
    /// Clients that are slow.
    pub(crate) slow: u32,
    /// Connections a second of a flood.
    pub(crate) flood: u32,
}

/// What attackers saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Connections made.
    pub(crate) made: u64,
    /// Connections that could not be made.
    pub(crate) failed: u64,
    /// Connections that the proxy has closed.
    pub(crate) closed: u64,
}

/// Between two bytes of a slow client.
const SLOW: Duration = Duration::from_millis(500);

/// Attackers make way for the probe, which is on the same core.
const NICENESS: i32 = 10;

#[derive(Debug, Default)]
struct Tally {
    made: Cell<u64>,
    failed: Cell<u64>,
    closed: Cell<u64>,
}

fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// Attacks `places` until `stop`, on a thread of its own. `ready` is set when the clients that are
/// to stay are there.
pub(crate) fn start(
    attack: Attack,
    places: Places,
    strength: Strength,
    stop: Arc<AtomicBool>,
    ready: Arc<AtomicBool>,
) -> JoinHandle<Seen> {
    thread::spawn(move || {
        let _ = setpriority_process(None, NICENESS);
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("an event loop");
        let tally = Rc::new(Tally::default());
        LocalSet::new().block_on(&runtime, async {
            let done = run(attack, places, strength, &tally, &ready);
            tokio::select! {
                () = done => {}
                () = until(&stop) => {}
            }
        });
        Seen {
            made: tally.made.get(),
            failed: tally.failed.get(),
            closed: tally.closed.get(),
        }
    })
}

async fn until(stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn run(
    attack: Attack,
    places: Places,
    strength: Strength,
    tally: &Rc<Tally>,
    ready: &AtomicBool,
) {
    match attack {
        Attack::Quiet => {}
        Attack::Idle => {
            let mut open = Vec::new();
            for _ in 0..strength.idle {
                open.extend(connect(places.plain, tally).await);
            }
            ready.store(true, Relaxed);
            std::future::pending::<()>().await;
        }
        Attack::SlowStats => {
            slow(places.stats, b"GET / HTTP/1.1\r\nHost: a", strength, tally).await;
        }
        Attack::SlowHeader => {
            slow(places.told, b"PROXY TCP4 192.0.2.1 ", strength, tally).await;
        }
        Attack::Garbage => {
            ready.store(true, Relaxed);
            flood(places.told, Some(b"\x16\x03\x01garbage"), strength, tally).await;
        }
        Attack::Resets => {
            ready.store(true, Relaxed);
            flood(places.plain, None, strength, tally).await;
        }
    }
    ready.store(true, Relaxed);
    std::future::pending::<()>().await;
}

async fn connect(to: SocketAddr, tally: &Tally) -> Option<TcpStream> {
    if let Ok(Ok(stream)) = timeout(Duration::from_secs(5), TcpStream::connect(to)).await {
        count(&tally.made);
        return Some(stream);
    }
    count(&tally.failed);
    None
}

/// Starts the slow clients over one second; each comes again when it is thrown out.
async fn slow(to: SocketAddr, text: &'static [u8], strength: Strength, tally: &Rc<Tally>) {
    for _ in 0..strength.slow {
        let tally = Rc::clone(tally);
        tokio::task::spawn_local(async move {
            loop {
                if let Some(stream) = connect(to, &tally).await {
                    let _ = drip(stream, text).await;
                    count(&tally.closed);
                }
                sleep(SLOW).await;
            }
        });
        sleep(Duration::from_secs(1) / strength.slow.max(1)).await;
    }
}

/// Sends `text` and then its last byte again and again, until the other side closes.
async fn drip(mut stream: TcpStream, text: &[u8]) -> io::Result<()> {
    let (mut input, mut output) = stream.split();
    let last = text[text.len() - 1];
    let sending = async {
        for byte in text.iter().copied().chain(std::iter::repeat(last)) {
            output.write_all(&[byte]).await?;
            sleep(SLOW).await;
        }
        io::Result::Ok(())
    };
    let mut answer = [0; 1024];
    let receiving = async {
        while input.read(&mut answer).await? > 0 {}
        io::Result::Ok(())
    };
    tokio::select! {
        ended = sending => ended,
        ended = receiving => ended,
    }
}

/// Connections at a fixed rate, which send `first` and wait for the end, or are reset at once.
async fn flood(
    to: SocketAddr,
    first: Option<&'static [u8]>,
    strength: Strength,
    tally: &Rc<Tally>,
) {
    let mut due = interval(Duration::from_secs(1) / strength.flood.max(1));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + Duration::from_secs(3600);
    while Instant::now() < end {
        due.tick().await;
        let tally = Rc::clone(tally);
        tokio::task::spawn_local(async move {
            let Some(mut stream) = connect(to, &tally).await else {
                return;
            };
            if let Some(first) = first {
                let _ = stream.write_all(first).await;
                let ended = timeout(Duration::from_secs(5), stream.read(&mut [0])).await;
                if ended.is_ok() {
                    count(&tally.closed);
                }
            }
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        });
    }
}

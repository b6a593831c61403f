//! Those that are to be served meanwhile: a connection, a small request and its answer, at a fixed
//! rate. Each has its moment, and its time counts from that moment on.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::{sleep, sleep_until, timeout};

/// What lasts longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

const MESSAGE: [u8; 128] = [b'a'; 128];

/// What probes saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probed {
    pub(crate) count: usize,
    pub(crate) failed: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Probes `target` `rate` times a second.
pub(crate) fn run(target: SocketAddr, rate: u32, length: Duration) -> io::Result<Probed> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (times, failed) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let count = (f64::from(rate) * length.as_secs_f64()) as u32;
    LocalSet::new().block_on(&runtime, async {
        let began = Instant::now();
        for number in 0..count {
            let due = began + length * number / count;
            sleep_until(due.into()).await;
            let (times, failed) = (Rc::clone(&times), Rc::clone(&failed));
            tokio::task::spawn_local(async move {
                match timeout(PATIENCE, probe(target)).await {
                    Ok(Ok(())) => times.borrow_mut().push(due.elapsed().as_secs_f64()),
                    Ok(Err(_)) | Err(_) => failed.set(failed.get() + 1),
                }
            });
        }
        let all = || times.borrow().len() + failed.get() >= count as usize;
        while !all() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    let mut times = times.take();
    times.sort_unstable_by(f64::total_cmp);
    let quantile = |q: f64| {
        let index = (times.len().saturating_sub(1) as f64 * q) as usize;
        times.get(index).copied().unwrap_or(f64::NAN)
    };
    Ok(Probed {
        count: count as usize,
        failed: failed.get(),
        p50: quantile(0.5),
        p99: quantile(0.99),
    })
}

async fn probe(target: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&MESSAGE).await?;
    let mut answer = MESSAGE;
    stream.read_exact(&mut answer).await?;
    Ok(())
}

/// A server that sends back what it gets, on a thread of its own until the program ends.
pub(crate) fn serve() -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.77.3:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("an event loop");
        LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::from_std(listener).expect("a listener");
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::task::spawn_local(echo(stream));
                }
            }
        });
    });
    Ok(address)
}

async fn echo(mut stream: TcpStream) {
    let mut block = [0; MESSAGE.len()];
    while let Ok(read @ 1..) = stream.read(&mut block).await {
        if stream.write_all(&block[..read]).await.is_err() {
            return;
        }
    }
}

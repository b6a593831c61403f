//! New connections by wrk, and long-lived sessions.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::harness::farm::connect;

/// Between two exchanges of a long-lived session.
const PAUSE: Duration = Duration::from_millis(50);

/// Sent back and forth on a long-lived session.
const MESSAGE: usize = 4096;

/// A running wrk.
pub(crate) struct Wrk(Child);

/// What wrk says in the end.
pub(crate) struct Requests {
    /// A connection each.
    pub(crate) done: u64,
    /// Connections that failed, in whatever way.
    pub(crate) failed: u64,
}

impl Wrk {
    pub(crate) fn start(target: SocketAddr, seconds: u32) -> Self {
        let mut command = Command::new("wrk");
        command.args(["-t", "1", "-c", "16", "--timeout", "5s"]);
        command.args(["-d", &format!("{seconds}s"), &format!("http://{target}/")]);
        let child = command.stdout(Stdio::piped()).spawn().expect("wrk starts");
        Self(child)
    }

    pub(crate) fn finish(self) -> Requests {
        let output = self.0.wait_with_output().expect("wrk ends");
        let text = String::from_utf8_lossy(&output.stdout);
        // Such as `Socket errors: connect 0, read 3, write 0, timeout 0`.
        let heads = ["Socket errors:", "Non-2xx or 3xx responses:"];
        let failed = text
            .lines()
            .filter_map(|line| heads.iter().find_map(|head| line.trim().strip_prefix(head)));
        let numbers = failed.flat_map(|line| line.split(|c: char| !c.is_ascii_digit()));
        let done = text.lines().find(|line| line.contains(" requests in "));
        let done = done.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Requests {
            done: done.unwrap_or(0),
            failed: numbers.filter_map(|n| n.parse::<u64>().ok()).sum::<u64>(),
        }
    }
}

/// Sessions that stay open.
pub(crate) struct LongSessions {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Exchanged>>,
}

/// What long-lived sessions did.
#[derive(Debug, Default)]
pub(crate) struct Exchanged {
    /// Messages that came back as they were sent.
    pub(crate) exchanges: u64,
    /// Sessions that did not last, or brought back something else.
    pub(crate) broken: u64,
}

impl LongSessions {
    pub(crate) fn open(target: SocketAddr, count: u32) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let threads = (0..count).map(|number| {
            let mut stream = connect(target).expect("a session");
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut told = Exchanged::default();
                while !stop.load(Relaxed) {
                    if exchange(&mut stream, number, told.exchanges).is_err() {
                        told.broken = 1;
                        break;
                    }
                    told.exchanges += 1;
                    thread::sleep(PAUSE);
                }
                told
            })
        });
        Self {
            threads: threads.collect(),
            stop,
        }
    }

    pub(crate) fn finish(self) -> Exchanged {
        self.stop.store(true, Relaxed);
        let mut sum = Exchanged::default();
        for thread in self.threads {
            let told = thread.join().expect("it does not panic");
            sum.exchanges += told.exchanges;
            sum.broken += told.broken;
        }
        sum
    }
}

/// Sends bytes that nobody else sends, and has them back.
fn exchange(stream: &mut (impl Read + Write), session: u32, exchange: u64) -> std::io::Result<()> {
    let seed = u64::from(session) << 32 | exchange;
    let byte = |index: usize| (seed.wrapping_mul(index as u64 + 0x9E37_79B9) >> 16) as u8;
    let sent: Vec<u8> = (0..MESSAGE).map(byte).collect();
    stream.write_all(&sent)?;
    let mut back = vec![0; MESSAGE];
    stream.read_exact(&mut back)?;
    if back == sent {
        Ok(())
    } else {
        Err(std::io::Error::other("other bytes came back"))
    }
}

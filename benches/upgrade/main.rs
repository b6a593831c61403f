//! Upgrades in a row under load: what clients notice of them.
//!
//! `cargo bench --bench upgrade`
//!
//! Clients open connections one after the other as fast as they can, send, compare what comes back
//! and close. Beside them sessions stay open from the process that accepted them to the end of the
//! run, and are used all the time. Meanwhile one process after the other takes over. It fails if one
//! connection does, or one session breaks.

#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Parser;

use crate::harness::backstop::{self, Backstop};
use crate::harness::farm::{Farm, connect};
use crate::harness::machine;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;

/// What the number of worker threads goes through.
const THREADS: [usize; 4] = [2, 1, 3, 2];

/// Between two uses of a session that stays open.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Parser)]
struct Arguments {
    /// How many processes take over, one after the other
    #[arg(long, default_value_t = 50)]
    upgrades: usize,
    /// Between two of them, in milliseconds
    #[arg(long, default_value_t = 400)]
    pause: u64,
    /// Clients that open connections one after the other
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Sessions that stay open; they are opened over the first half of the upgrades
    #[arg(long, default_value_t = 20)]
    sessions: usize,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    failures: Vec<String>,
    slowest: Duration,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    println!("{}", machine::describe());
    let farm = Farm::new();
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "check = true");
    let directory = TempDir::new();
    let start = |number: usize| {
        let config = format!(
            "threads = {}\ngrace = \"600s\"\nlog = {{ sessions = \"failed\" }}\nupgrade_socket = \
             \"{}\"\n{}",
            THREADS[number % THREADS.len()],
            directory.path().join("upgrade").display(),
            farm.config()
        );
        let mut command = backstop::command();
        command.arg("--take-over");
        Backstop::start_by(command, &config)
    };
    let first = start(0);
    let memory = first.resident_kib();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..arguments.clients)
        .map(|_| client(farm.entrance(), Arc::clone(&stop)))
        .collect();
    let stayers = Stayers::default();
    let in_use = stayers.use_until(Arc::clone(&stop));
    let (mut processes, mut times) = (vec![first], Vec::new());
    let began = Instant::now();
    for number in 1..=arguments.upgrades {
        let wanted = (2 * number * arguments.sessions / arguments.upgrades).min(arguments.sessions);
        while stayers.count() < wanted {
            stayers.open(farm.entrance());
        }
        let asked = Instant::now();
        processes.push(start(number));
        times.push(asked.elapsed());
        thread::sleep(Duration::from_millis(arguments.pause));
    }
    let took = began.elapsed();
    stop.store(true, Relaxed);
    let (uses, broken) = in_use.join().expect("no panic");
    let seen = clients
        .into_iter()
        .map(|client| client.join().expect("no panic"));
    let seen = seen.reduce(Seen::and).unwrap_or_default();
    let last = processes.pop().expect("one at least");
    let memory = (memory, last.resident_kib());
    let ended = processes.iter_mut().map(Backstop::has_ended);
    let running = ended.filter(|ended| !ended).count();
    drop(stayers);
    // With their sessions gone, all that were taken over from end, and have cut nothing.
    let codes: Vec<_> = processes.iter_mut().map(|old| old.wait().code()).collect();
    let clean = codes.iter().filter(|code| **code == Some(0)).count();
    times.sort_unstable();
    println!(
        "\n{} upgrades in {:.1} s, worker threads {THREADS:?} in turn",
        times.len(),
        took.as_secs_f64()
    );
    println!(
        "from start to having taken over: median {:?}, longest {:?}",
        rounded(times[times.len() / 2]),
        rounded(times[times.len() - 1])
    );
    println!(
        "connections: {} from {} clients, {} failed, slowest {:?}",
        seen.connections,
        arguments.clients,
        seen.failures.len(),
        rounded(seen.slowest)
    );
    println!(
        "sessions that stayed open: {}, used {uses} times, {broken} broken, on {running} old processes",
        arguments.sessions
    );
    println!(
        "old processes that ended without cutting a session: {clean} of {}",
        codes.len()
    );
    println!(
        "resident memory of the first and the last process: {} and {} KiB",
        memory.0, memory.1
    );
    for failure in seen.failures.iter().take(10) {
        println!("failed: {failure}");
    }
    if seen.failures.is_empty() && broken == 0 && clean == codes.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn rounded(time: Duration) -> Duration {
    Duration::from_micros(time.as_micros() as u64 / 100 * 100)
}

impl Seen {
    fn and(mut self, other: Self) -> Self {
        self.connections += other.connections;
        self.failures.extend(other.failures);
        self.slowest = self.slowest.max(other.slowest);
        self
    }
}

fn client(entrance: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<Seen> {
    thread::spawn(move || {
        let mut seen = Seen::default();
        while !stop.load(Relaxed) {
            let began = Instant::now();
            let done = connect(entrance).and_then(|mut stream| {
                exchange(&mut stream, seen.connections as u64)?;
                stream.shutdown(std::net::Shutdown::Write)?;
                // The whole way to an orderly end.
                match stream.read(&mut [0])? {
                    0 => Ok(()),
                    _ => Err(io::Error::other("more bytes than were sent")),
                }
            });
            seen.connections += 1;
            seen.slowest = seen.slowest.max(began.elapsed());
            seen.failures
                .extend(done.err().map(|error| error.to_string()));
        }
        seen
    })
}

/// Sends a number and compares what comes back.
fn exchange(stream: &mut TcpStream, number: u64) -> io::Result<()> {
    stream.write_all(&number.to_be_bytes())?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    if answer == number.to_be_bytes() {
        return Ok(());
    }
    Err(io::Error::other("other bytes than were sent"))
}

/// Sessions that stay open.
#[derive(Debug, Default)]
struct Stayers {
    open: Arc<Mutex<Vec<TcpStream>>>,
    broken: Arc<AtomicUsize>,
}

impl Stayers {
    fn count(&self) -> usize {
        self.open.lock().expect("no panic").len() + self.broken.load(Relaxed)
    }

    fn open(&self, entrance: SocketAddr) {
        match connect(entrance) {
            Ok(stream) => self.open.lock().expect("no panic").push(stream),
            Err(_) => _ = self.broken.fetch_add(1, Relaxed),
        }
    }

    /// Uses all of them until `stop`. Returns how often, and how many broke.
    fn use_until(&self, stop: Arc<AtomicBool>) -> JoinHandle<(usize, usize)> {
        let (open, broken) = (Arc::clone(&self.open), Arc::clone(&self.broken));
        thread::spawn(move || {
            let mut uses = 0;
            while !stop.load(Relaxed) {
                open.lock().expect("no panic").retain_mut(|stream| {
                    uses += 1;
                    let lives = exchange(stream, uses as u64).is_ok();
                    if !lives {
                        broken.fetch_add(1, Relaxed);
                    }
                    lives
                });
                thread::sleep(PAUSE);
            }
            (uses, broken.load(Relaxed))
        })
    }
}

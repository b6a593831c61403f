//! A soak: mixed load and faults by chance for as long as wanted, and then the reckoning.
//!
//! Clients of six kinds (short, bulk, slow reader, half-open, half-close, reset) go through the
//! proxy to servers that are processes of their own and are killed, frozen, restarted, drained and
//! taken out, while operators reload and change weights and limits. Every byte is compared by
//! whoever receives it. Now and then the load pauses until no session is open. Then what the
//! process takes up is compared with what it took at the first pause, and what clients, servers,
//! the log and the counters say of every session with each other. A session that has failed needs
//! a fault on its server that explains it. The exit code is 1 if anything does not fit.
//!
//! `cargo bench --bench soak -- --minutes 30`

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod bytes;
mod client;
mod faults;
mod scene;
mod server;
mod verdict;

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::client::{KINDS, Plan, Told};
use crate::faults::{Fault, Journal};
use crate::harness::machine;
use crate::harness::wait::wait_within;
use crate::scene::{Scene, Size};
use crate::verdict::Breaches;

/// Load without faults, before the first pause.
const WARM_UP: Duration = Duration::from_secs(10);

/// The longest that the proxy may take to close what it has no sessions for any more; a thread for
/// what blocks waits 10 seconds for more of it.
const SETTLING: Duration = Duration::from_secs(15);

/// By how much the memory may differ between the first pause and the last: what a pool or a
/// history keeps is bounded, and a leak of 100 bytes a session would be more in 30 minutes.
const SLACK_KIB: u64 = 8 << 10;

#[derive(Debug, Parser)]
struct Arguments {
    /// How long
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// What all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients at once
    #[arg(long, default_value_t = 40)]
    clients: u32,
    /// Be a server at this address
    #[arg(long, hide = true)]
    serve: Option<SocketAddr>,
    /// Where that server tells of its sessions
    #[arg(long, hide = true)]
    ledger: Option<PathBuf>,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// All that happens in one run.
struct Run {
    scene: Scene,
    journal: Journal,
    plan: Plan,
    started: Instant,
    told: Vec<Told>,
    sizes: Vec<Size>,
    breaches: Breaches,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let (Some(address), Some(ledger)) = (arguments.serve, &arguments.ledger) {
        server::serve(address, ledger)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}; seed {}", machine::describe(), arguments.seed);
    let scene = Scene::start()?;
    let plan = Plan {
        entrances: scene.entrances(),
        clients: arguments.clients,
        seed: arguments.seed,
        next: Arc::default(),
    };
    let mut run = Run {
        scene,
        journal: Journal::default(),
        plan,
        started: Instant::now(),
        told: Vec::new(),
        sizes: Vec::new(),
        breaches: Breaches::default(),
    };
    run.round(WARM_UP, None)?;
    let whole = Duration::from_secs_f64(arguments.minutes * 60.0);
    let (began, rounds) = (Instant::now(), (arguments.minutes / 2.0).ceil() as u32);
    for round in 1..=rounds {
        let end = began + whole * round / rounds;
        let length = end.saturating_duration_since(Instant::now());
        run.round(length, Some(arguments.seed << 8 | u64::from(round)))?;
    }
    Ok(run.reckon())
}

impl Run {
    /// Load, with faults if there is a seed for them, and then a pause.
    fn round(&mut self, length: Duration, seed: Option<u64>) -> Result<(), Box<dyn Error>> {
        let stop = Arc::new(AtomicBool::new(false));
        self.plan.seed += 1;
        let clients = client::start(self.plan.clone(), Arc::clone(&stop));
        let (scene, journal, started) = (&self.scene, &self.journal, self.started);
        let calm = &AtomicBool::new(false);
        thread::scope(|scope| {
            if let Some(seed) = seed {
                scope.spawn(move || faults::harm(scene, journal, seed << 1, started, calm));
                scope.spawn(move || faults::operate(scene, journal, seed << 1 | 1, started, calm));
            }
            thread::sleep(length);
            calm.store(true, Relaxed);
        });
        stop.store(true, Relaxed);
        self.told
            .extend(clients.join().map_err(|_| "a client panicked")?);
        self.pause()
    }

    /// Waits until no session is open, and looks at what the process takes up and counts.
    fn pause(&mut self) -> Result<(), Box<dyn Error>> {
        let open = |scene: &Scene| -> Option<u64> {
            let rows = scene.rows().ok()?;
            rows.iter().map(|row| row["scur"].parse::<u64>().ok()).sum()
        };
        // A server that is down may be found up again only by its next check.
        let scene = &self.scene;
        if wait_within(SETTLING, || (open(scene) == Some(0)).then_some(())).is_none() {
            self.breaches.add(format!(
                "{:?} sessions are open, and no client is there",
                open(scene)
            ));
        }
        let size = self.settled();
        let at = self.started.elapsed().as_secs_f64();
        println!(
            "{at:8.1} s  pause: {} sessions so far; {} descriptors and {} of pipes, {} threads, {} KiB",
            self.told.len(),
            size.descriptors,
            size.pipes,
            size.threads,
            size.resident_kib
        );
        self.sizes.push(size);
        let lines = verdict::lines(scene, &mut self.breaches);
        self.breaches.add_up(scene, &lines)?;
        print!("{}", self.breaches.show());
        Ok(())
    }

    /// What the process takes up, once it is no more than at the first pause. That one is the least
    /// of what is seen in a while, since a check may just be running.
    fn settled(&self) -> Size {
        let Some(first) = self.sizes.first() else {
            let mut least = self.scene.size();
            let _ = wait_within(SETTLING, || -> Option<()> {
                let size = self.scene.size();
                least.descriptors = least.descriptors.min(size.descriptors);
                least.threads = least.threads.min(size.threads);
                None
            });
            return least;
        };
        let is_small =
            |size: &Size| size.descriptors <= first.descriptors && size.threads <= first.threads;
        let settled = wait_within(SETTLING, || Some(self.scene.size()).filter(is_small));
        settled.unwrap_or_else(|| self.scene.size())
    }

    fn reckon(mut self) -> ExitCode {
        let lines = verdict::lines(&self.scene, &mut Breaches::default());
        let ledger = self.scene.ledger().unwrap_or_default();
        let faults = self.journal.faults.lock().expect("no panic").clone();
        let mut failed: BTreeMap<&str, u64> = BTreeMap::new();
        let mut by_fault = |fault: &Fault| {
            let kind = fault.what.split_whitespace().next().unwrap_or_default();
            let kind = ["kill", "restart", "freeze", "maint", "shutdown"]
                .iter()
                .find(|k| **k == kind);
            *failed.entry(kind.copied().unwrap_or("other")).or_default() += 1;
        };
        for told in &self.told {
            let (line, counted) = (lines.get(&told.id), ledger.get(&told.id));
            if let Some(fault) = self.breaches.judge(told, line, counted, &faults) {
                by_fault(fault);
            }
        }
        for failed in self.journal.failed.lock().expect("no panic").iter() {
            self.breaches.add(failed.clone());
        }
        self.leaks();
        self.tell(&faults, &failed);
        print!("{}", self.breaches.show());
        if self.breaches.0.is_empty() {
            println!("All fits.");
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// Compares the last pause with the first.
    fn leaks(&mut self) {
        let (Some(first), Some(last)) = (self.sizes.first(), self.sizes.last()) else {
            return;
        };
        if last.descriptors > first.descriptors || last.threads > first.threads {
            self.breaches
                .add(format!("{last:?} is left of what was {first:?}"));
        }
        // Those that wait for use are bounded for each worker.
        let workers = thread::available_parallelism().map_or(1, usize::from);
        if last.pipes > first.pipes.max(workers * 2 * 32 + first.threads) {
            self.breaches
                .add(format!("{} descriptors of pipes are left", last.pipes));
        }
        if last.resident_kib > first.resident_kib + first.resident_kib / 2 + SLACK_KIB {
            let (first, last) = (first.resident_kib, last.resident_kib);
            self.breaches
                .add(format!("{last} KiB are left of what was {first} KiB"));
        }
    }

    fn tell(&self, faults: &[Fault], failed: &BTreeMap<&str, u64>) {
        println!(
            "\nafter {:.1} minutes:",
            self.started.elapsed().as_secs_f64() / 60.0
        );
        for kind in KINDS {
            let of = self.told.iter().filter(|told| told.kind == kind);
            let [mut count, mut sent, mut received] = [0; 3];
            for told in of {
                count += 1;
                sent += told.sent;
                received += told.received;
            }
            let mib = |bytes: u64| bytes >> 20;
            let name = format!("{kind:?}");
            println!(
                "{name:12} {count:8} sessions, {:7} MiB sent, {:7} MiB received and compared",
                mib(sent),
                mib(received)
            );
        }
        let mut done: BTreeMap<&str, u64> = BTreeMap::new();
        for fault in faults {
            *done
                .entry(fault.what.split_whitespace().next().unwrap_or_default())
                .or_default() += 1;
        }
        println!("done: {done:?}");
        println!("sessions that failed, by what was done to their server: {failed:?}");
        println!("pauses: {}", self.sizes.len());
        for size in [self.sizes.first(), self.sizes.last()]
            .into_iter()
            .flatten()
        {
            println!("{size:?}");
        }
    }
}

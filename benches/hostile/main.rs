//! What hostile clients cost those that are to be served meanwhile, beside HAProxy.
//!
//! New connections go through the proxy at a fixed rate while nothing happens, while 9,000 clients
//! connect and say nothing, while slow ones talk to the stats page and where a PROXY header is due,
//! and while garbage and resets come in floods. Backstop and HAProxy take turns in each round, with
//! the same settings and one thread for sessions. One core has the proxy, the other one everything
//! else. Each attack is bounded in its number, its rate and its length.
//!
//! `cargo bench --bench hostile` needs two cores, the programs `haproxy`, `taskset` and `setpriv`,
//! and 20,000 descriptors for each process. BACKSTOP names another build.

#[path = "../../tests/harness/machine.rs"]
mod machine;
#[path = "../compare/process.rs"]
#[allow(dead_code, reason = "only a part of it is used here")]
mod process;

mod attack;
mod probe;
mod subjects;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::attack::{ATTACKS, Attack, Seen, Strength};
use crate::probe::Probed;
use crate::subjects::Subject;

/// The longest that the idle clients may take to come.
const GATHERING: Duration = Duration::from_secs(30);

/// Between two attacks, in which a proxy closes what is left of the last.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds; the median of each figure over them counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of one attack
    #[arg(long, value_name = "SECONDS", default_value_t = 6)]
    seconds: u64,
    /// Probes a second
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Clients that connect and say nothing
    #[arg(long, default_value_t = 9_000)]
    idle: u32,
    /// Slow clients
    #[arg(long, default_value_t = 500)]
    slow: u32,
    /// Connections a second of a flood
    #[arg(long, default_value_t = 2_000)]
    flood: u32,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// One attack on one proxy.
#[derive(Debug, Clone, Copy)]
struct Measured {
    attack: Attack,
    name: &'static str,
    probed: Probed,
    seen: Seen,
    /// Seconds of CPU time a second.
    cpu: f64,
    resident: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let [first, second, ..] = process::cores()?[..] else {
        return Err("this needs two cores".into());
    };
    let machine = machine::describe();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    let directory = std::env::temp_dir().join(format!("backstop-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let mut other = CpuSet::new();
    other.set(second);
    sched_setaffinity(None, &other)?;
    println!("{machine}; load average {}", machine::load_average());
    let server = probe::serve()?;
    let subjects = subjects::start(server, first, &directory);
    let measured = subjects.and_then(|subjects| measure(&arguments, &subjects));
    std::fs::remove_dir_all(&directory)?;
    report(&measured?);
    Ok(())
}

fn measure(arguments: &Arguments, subjects: &[Subject]) -> Result<Vec<Measured>, Box<dyn Error>> {
    let mut all = Vec::new();
    for round in 1..=arguments.rounds {
        for attack in ATTACKS {
            for subject in subjects {
                let measured = one(arguments, attack, subject)?;
                println!("round {round}: {}", line(&measured));
                all.push(measured);
            }
        }
    }
    Ok(all)
}

fn one(
    arguments: &Arguments,
    attack: Attack,
    subject: &Subject,
) -> Result<Measured, Box<dyn Error>> {
    let strength = Strength {
        idle: arguments.idle,
        slow: arguments.slow,
        flood: arguments.flood,
    };
    let (stop, ready) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let attackers = attack::start(
        attack,
        subject.places,
        strength,
        Arc::clone(&stop),
        Arc::clone(&ready),
    );
    let deadline = Instant::now() + GATHERING;
    while !ready.load(Relaxed) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (cpu, began) = (subject.process.cpu()?, Instant::now());
    let length = Duration::from_secs(arguments.seconds);
    let probed = probe::run(subject.places.plain, arguments.rate, length)?;
    let used = subject.process.cpu()?.saturating_sub(cpu);
    let cpu = used.as_secs_f64() / began.elapsed().as_secs_f64();
    let resident = subject.process.resident()?;
    stop.store(true, Relaxed);
    let seen = attackers.join().map_err(|_| "the attackers panicked")?;
    std::thread::sleep(REST);
    Ok(Measured {
        attack,
        name: subject.name,
        probed,
        seen,
        cpu,
        resident,
    })
}

fn line(measured: &Measured) -> String {
    let Measured {
        attack,
        name,
        probed,
        seen,
        cpu,
        resident,
    } = measured;
    format!(
        "{attack:?} {name}: p50 {:.2} ms, p99 {:.2} ms, {} of {} failed; CPU {:.0} %, {} MiB; \
         attackers made {}, could not make {}, were closed {}",
        probed.p50 * 1e3,
        probed.p99 * 1e3,
        probed.failed,
        probed.count,
        cpu * 1e2,
        resident >> 20,
        seen.made,
        seen.failed,
        seen.closed
    )
}

fn report(all: &[Measured]) {
    println!(
        "\n| Attack | Proxy | p50 | p99 | failed | CPU | Memory | attackers: made, refused, closed |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for attack in ATTACKS {
        for name in ["Backstop", "HAProxy"] {
            let of: Vec<_> = all
                .iter()
                .filter(|measured| measured.attack == attack && measured.name == name)
                .collect();
            let middle = |figure: &dyn Fn(&Measured) -> f64| {
                let mut figures: Vec<_> = of.iter().map(|measured| figure(measured)).collect();
                figures.sort_unstable_by(f64::total_cmp);
                figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
            };
            let failed: usize = of.iter().map(|measured| measured.probed.failed).sum();
            let count: usize = of.iter().map(|measured| measured.probed.count).sum();
            println!(
                "| {attack:?} | {name} | {:.2} ms | {:.2} ms | {failed} of {count} | {:.0} % | {:.0} MiB | {:.0}, {:.0}, {:.0} |",
                middle(&|m| m.probed.p50 * 1e3),
                middle(&|m| m.probed.p99 * 1e3),
                middle(&|m| m.cpu * 1e2),
                middle(&|m| m.resident as f64 / f64::from(1 << 20)),
                middle(&|m| m.seen.made as f64),
                middle(&|m| m.seen.failed as f64),
                middle(&|m| m.seen.closed as f64),
            );
        }
    }
}

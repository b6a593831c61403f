//! How Backstop scales with workers and with sessions, beside HAProxy.
//!
//! `cargo bench --bench scale` needs what the comparison needs (see `benches/compare`). Workers
//! have a core each; with more workers than half of the cores, load and servers share them, so
//! the last line says less than the ratio of the CPU times does. Each proxy is measured by itself,
//! not in turns: for a comparison of proxies there is `compare`.

#[path = "../compare/floor.rs"]
#[allow(dead_code)]
mod floor;
#[path = "../compare/load.rs"]
#[allow(dead_code)]
mod load;
#[path = "../compare/paced.rs"]
#[allow(dead_code)]
mod paced;
#[path = "../compare/process.rs"]
#[allow(dead_code)]
mod process;
#[path = "../compare/subjects.rs"]
#[allow(dead_code)]
mod subjects;

use std::error::Error;
use std::io;
use std::path::Path;

use clap::Parser;

use self::load::Wrk;
use self::process::Process;
use self::subjects::Subject;

const WORKERS: [usize; 3] = [1, 2, 4];
const SESSIONS: [usize; 4] = [10, 100, 1_000, 9_000];

#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds; the median over them counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of one measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    seconds: u64,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// Units per second and CPU seconds per unit.
#[derive(Debug, Clone, Copy)]
struct Figure {
    rate: f64,
    cpu: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let cores = process::cores()?;
    if cores.len() < 4 {
        return Err("this needs four cores".into());
    }
    let directory = subjects::directory()?;
    let _servers = subjects::start_servers(&cores[3..], &directory)?;
    workers(&arguments, &cores, &directory)?;
    sessions(&arguments, &cores, &directory)?;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

fn workers(arguments: &Arguments, cores: &[usize], directory: &Path) -> io::Result<()> {
    println!(
        "| proxy | workers | connections | CPU each | small requests | CPU each | sessions per worker |"
    );
    println!("|---|---:|---:|---:|---:|---:|---|");
    for subject in [Subject::Backstop, Subject::Haproxy] {
        for workers in WORKERS {
            let Some(proxy) = subject.start(workers, &cores[..workers.min(4)], directory)? else {
                continue;
            };
            let run = |close| {
                let wrk = Wrk {
                    path: "/small",
                    connections: 256,
                    close,
                    seconds: arguments.seconds,
                };
                median(arguments.rounds, || {
                    measure(&proxy, || wrk.run(subject.web(), &cores[2..], directory))
                })
            };
            let (connections, requests) = (run(true)?, run(false)?);
            let spread = spread(subject, &proxy)?;
            println!(
                "| {} | {workers} | {:.0}/s | {:.2} µs | {:.0}/s | {:.2} µs | {spread} |",
                subject.name(),
                connections.rate,
                connections.cpu * 1e6,
                requests.rate,
                requests.cpu * 1e6
            );
        }
    }
    Ok(())
}

fn sessions(arguments: &Arguments, cores: &[usize], directory: &Path) -> io::Result<()> {
    println!("\n| sessions at once | small requests | CPU each | HAProxy | CPU each |");
    println!("|---:|---:|---:|---:|---:|");
    for connections in SESSIONS {
        print!("| {connections} |");
        for subject in [Subject::Backstop, Subject::Haproxy] {
            let Some(proxy) = subject.start(1, &cores[..1], directory)? else {
                continue;
            };
            let wrk = Wrk {
                path: "/small",
                connections,
                close: false,
                seconds: arguments.seconds,
            };
            let figure = median(arguments.rounds, || {
                measure(&proxy, || wrk.run(subject.web(), &cores[1..3], directory))
            })?;
            print!(" {:.0}/s | {:.2} µs |", figure.rate, figure.cpu * 1e6);
        }
        println!();
    }
    Ok(())
}

fn measure(proxy: &Process, load: impl Fn() -> io::Result<load::Done>) -> io::Result<Figure> {
    let before = proxy.cpu()?;
    let done = load()?;
    let spent = proxy.cpu()?.as_secs_f64() - before.as_secs_f64();
    if done.errors > 0.0 {
        eprintln!("{} errors", done.errors);
    }
    Ok(Figure {
        rate: done.requests / done.seconds,
        cpu: spent / done.requests,
    })
}

fn median(rounds: usize, run: impl Fn() -> io::Result<Figure>) -> io::Result<Figure> {
    let mut figures = (0..rounds).map(|_| run()).collect::<io::Result<Vec<_>>>()?;
    figures.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    Ok(figures[figures.len() / 2])
}

/// How 400 sessions that stay are spread over the threads that serve them, by the CPU time
/// that each thread needs to answer one request of each.
fn spread(subject: Subject, proxy: &Process) -> io::Result<String> {
    let before = proxy.threads()?;
    let mut sessions = paced::idle(subject.web(), 400)?;
    for _ in 0..50 {
        for session in &mut sessions {
            paced::ask(session)?;
        }
    }
    let after = proxy.threads()?;
    let mut spent: Vec<_> = after
        .iter()
        .map(|(thread, time)| time - before.get(thread).copied().unwrap_or(0.0))
        .collect();
    spent.sort_by(|a, b| b.total_cmp(a));
    let whole: f64 = spent.iter().sum();
    let shares = spent.iter().map(|time| 100.0 * time / whole);
    let shares: Vec<_> = shares
        .filter(|share| *share >= 2.0)
        .map(|share| format!("{share:.0} %"))
        .collect();
    Ok(shares.join(", "))
}

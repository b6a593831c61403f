//! What a busy and a besieged stats page cost the sessions beside it.
//!
//! `cargo bench --bench stats` needs two cores and the programs `taskset` and `setpriv`. Small
//! requests go through the proxy at a fixed rate, in rounds of two: quiet, and with 1,000 requests
//! a second to the stats page and 500 clients that connect to it, send half a head and wait, and
//! come again a second after they are thrown out. One core has the whole proxy, all its threads
//! together, the other one a thread that is client and server at once and never sleeps. The build
//! is the one that users have; BACKSTOP names another one. `--proxy haproxy` does the same to HAProxy
//! and its page.

mod load;
#[path = "../compare/process.rs"]
#[allow(dead_code)]
mod process;
mod subject;

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use clap::Parser;
use rustix::thread::{CpuSet, sched_setaffinity};

use self::load::{Load, Seen, Siege};
use self::process::Process;
use self::subject::Subject;

#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds; the median of each figure over them counts
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Length of one measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    seconds: u64,
    /// Requests a second through the proxy
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// Requests a second to the stats page
    #[arg(long, default_value_t = 1_000)]
    requests: u32,
    /// Clients of the stats page that stall
    #[arg(long, default_value_t = 500)]
    stalled: usize,
    /// What is measured
    #[arg(long, value_enum, default_value = "backstop")]
    proxy: Subject,
    /// Let the proxy run on both cores
    #[arg(long)]
    both_cores: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let cores = process::cores()?;
    let [first, second, ..] = cores[..] else {
        return Err("this needs two cores".into());
    };
    let mut core = CpuSet::new();
    core.set(first);
    let proxy_cores = if arguments.both_cores {
        vec![first, second]
    } else {
        vec![second]
    };
    let servers = TcpListener::bind("127.0.0.1:0")?;
    let [entrance, page] = free_addresses()?;
    let directory = env::temp_dir().join(format!("backstop-stats-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let file = directory.join("stats.conf");
    let subject = arguments.proxy;
    fs::write(&file, subject.config(entrance, page, servers.local_addr()?))?;
    let command = subject.command(&file)?;
    let complaints = directory.join("stats.log");
    let proxy = Process::start(
        subject.name(),
        &command,
        &proxy_cores,
        entrance,
        &complaints,
    )?;
    sched_setaffinity(None, &core)?;
    let length = Duration::from_secs(arguments.seconds);
    let siege = Siege {
        page,
        requests: arguments.requests,
        stalled: arguments.stalled,
    };
    let mut load = Load::new(servers, entrance)?;
    load.run(arguments.rate, length, None)?;
    let rounds: io::Result<Vec<_>> = (0..arguments.rounds)
        .map(|_| {
            let quiet = measured(&proxy, || load.run(arguments.rate, length, None))?;
            let besieged = measured(&proxy, || load.run(arguments.rate, length, Some(siege)))?;
            Ok((quiet, besieged))
        })
        .collect();
    report(&arguments, &rounds?);
    drop(proxy);
    fs::remove_dir_all(&directory)?;
    Ok(())
}

/// What was seen, and how many seconds of CPU time the proxy took for it.
fn measured(proxy: &Process, run: impl FnOnce() -> io::Result<Seen>) -> io::Result<(Seen, f64)> {
    let before = proxy.cpu()?;
    let seen = run()?;
    Ok((seen, proxy.cpu()?.as_secs_f64() - before.as_secs_f64()))
}

type Measured = (Seen, f64);

fn report(arguments: &Arguments, rounds: &[(Measured, Measured)]) {
    println!(
        "{} requests/s through {}; {} requests/s to the page, {} stalled clients; {} rounds of {} s each\n",
        arguments.rate,
        arguments.proxy.name(),
        arguments.requests,
        arguments.stalled,
        arguments.rounds,
        arguments.seconds
    );
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>10} {:>8} {:>12} {:>10} {:>8}",
        "", "p50", "p90", "p99", "p99.9", "CPU", "page answers", "page p99", "evicted"
    );
    let show = |name: &str, all: &[Measured]| {
        let us = |of: fn(&Seen) -> f64| median(all, |(seen, _)| of(seen) * 1e6);
        println!(
            "{name:>8} {:>7.1} µs {:>7.1} µs {:>7.1} µs {:>7.1} µs {:>6.1} % {:>10.0}/s {:>7.1} ms {:>6.0}/s",
            us(|seen| seen.p50),
            us(|seen| seen.p90),
            us(|seen| seen.p99),
            us(|seen| seen.p999),
            median(all, |(_, cpu)| *cpu) / arguments.seconds as f64 * 100.0,
            median(all, |(seen, _)| seen.page_answers) / arguments.seconds as f64,
            median(all, |(seen, _)| seen.page_p99) * 1e3,
            median(all, |(seen, _)| seen.thrown_out) / arguments.seconds as f64,
        );
    };
    let (quiet, besieged): (Vec<_>, Vec<_>) = rounds.iter().copied().unzip();
    show("quiet", &quiet);
    show("besieged", &besieged);
    let p99 = |all: &[Measured]| median(all, |(seen, _)| seen.p99);
    let change = (p99(&besieged) / p99(&quiet) - 1.0) * 100.0;
    println!("\np99 of the sessions: {change:+.1} %");
    let each = rounds.iter().map(|((quiet, _), (besieged, _))| {
        format!("{:+.0} %", (besieged.p99 / quiet.p99 - 1.0) * 100.0)
    });
    println!("in each round: {}", each.collect::<Vec<_>>().join(", "));
}

fn median(all: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut figures: Vec<_> = all.iter().map(of).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Both are held until both are known, so that they are not the same.
fn free_addresses() -> io::Result<[SocketAddr; 2]> {
    let listeners = [
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    ];
    Ok([listeners[0].local_addr()?, listeners[1].local_addr()?])
}

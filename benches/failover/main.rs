//! What clients notice when servers fail under load.
//!
//! Opens connections at a steady rate through a proxy with `configs/backup-server.toml`, makes
//! primaries fail in the middle, and tells how many connections failed and how long the slowest
//! took; for Backstop, for HAProxy with the same configuration, and for HAProxy with what an
//! expert would add. Faults that a connection alone does not show are also met with checks that
//! look at answers.
//!
//! The test servers are child processes, so that they can really be killed. A connection that a
//! server had when it failed is lost with it, whatever the proxy: those are counted apart, as cut.
//!
//! `cargo bench --bench failover -- --fault all`
//!
//! Everything runs in network and process namespaces of its own, made by `unshare`, so that
//! packets can be dropped and nothing is left behind. That takes root, or a system that lets
//! users make namespaces; without them dropped SYNs are left out.

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod contestants;
mod faults;
mod load;
mod report;
mod server;

use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use crate::contestants::Contestant;
use crate::faults::Fault;
use crate::harness::daemon::Daemon;
use crate::harness::enclosure::{self, Place};
use crate::harness::scenario::Site;
use crate::harness::stats::Stats;
use crate::harness::wait::{wait_until, wait_within};
use crate::load::Load;
use crate::report::Report;

/// What clients notice when servers fail under load.
#[derive(Debug, Parser)]
struct Arguments {
    /// Connections opened per second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// How long to open connections; the servers fail after half of it
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=600))]
    seconds: u32,
    /// How servers fail, or "all" for one after the other
    #[arg(long, default_value = "killed", value_parser = faults)]
    fault: Faults,
    /// How many of the two primaries fail: 2 if killed, else 1, unless given
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    victims: Option<u8>,
    /// What to compare; all that the fault makes a difference to, unless given
    #[arg(long, value_enum, value_delimiter = ',')]
    proxies: Vec<Contestant>,
    /// Be a test server with this name and address, which is how this program starts its own
    #[arg(long, num_args = 2, value_names = ["NAME", "ADDRESS"], hide = true)]
    serve: Option<Vec<String>>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone)]
struct Faults(Vec<Fault>);

fn faults(text: &str) -> Result<Faults, String> {
    if text == "all" {
        return Ok(Faults(Fault::value_variants().to_vec()));
    }
    Fault::from_str(text, true).map(|fault| Faults(vec![fault]))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(serve) = &arguments.serve {
        server::serve_for_ever(&serve[0], serve[1].parse().expect("an address"));
        return ExitCode::SUCCESS;
    }
    let enclosed = match enclosure::enter() {
        Place::Done(code) => return code,
        Place::Inside => true,
        Place::Outside => false,
    };
    report::print_machine();
    for &fault in &arguments.fault.0 {
        if fault == Fault::SynDropped && !(enclosed && is_installed("nft")) {
            println!(
                "\nSYN dropped is left out: it takes root (or user namespaces), unshare, ip and nft."
            );
            continue;
        }
        compare(&arguments, fault);
    }
    ExitCode::SUCCESS
}

fn compare(arguments: &Arguments, fault: Fault) {
    let load = Load {
        rate: arguments.rate,
        duration: Duration::from_secs(arguments.seconds.into()),
    };
    let victims = arguments.victims.map_or(fault.usual_victims(), usize::from);
    report::print_head(&load, fault, victims);
    for contestant in contestants(arguments, fault) {
        if contestant.is_haproxy() && !is_installed("haproxy") {
            println!("{}: not installed.", contestant.name());
            continue;
        }
        measure(&load, fault, victims, contestant).print(contestant.name());
    }
}

fn contestants(arguments: &Arguments, fault: Fault) -> Vec<Contestant> {
    if !arguments.proxies.is_empty() {
        return arguments.proxies.clone();
    }
    let all = Contestant::value_variants().iter().copied();
    all.filter(|contestant| fault.hides_from_connects() || !contestant.looks_at_answers())
        .collect()
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("-v").output().is_ok()
}

fn measure(load: &Load, fault: Fault, victims: usize, contestant: Contestant) -> Report {
    let site = Site::new();
    let servers: Vec<_> = (1..=4).map(|number| start_server(&site, number)).collect();
    let entrance = contestant.entrance(&site);
    let _proxy = contestant.start(&site, &entrance);
    for number in 1..=4 {
        entrance.stats.wait_for_up(&format!("nginx{number}"));
    }
    let (half, victims) = (load.duration / 2, &servers[..victims]);
    thread::scope(|scope| {
        let failing = scope.spawn(|| {
            thread::sleep(half);
            fault.strike(victims);
            let failed = Instant::now();
            (
                failed,
                time_until_down(&entrance.stats, victims.len(), half),
            )
        });
        let connections = load.run(entrance.address);
        let (failed, noticed) = failing.join().expect("no panic");
        Report {
            connections,
            failed,
            noticed,
        }
    })
}

fn start_server(site: &Site, number: usize) -> (Daemon, SocketAddr) {
    let name = format!("nginx-{number}");
    let address = site.server(number);
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--serve", &name, &address.to_string()]);
    let server = Daemon::spawn(&name, &mut command);
    wait_until("a test server should answer", || {
        harness::http::curl(address).is_ok()
    });
    (server, address)
}

/// How long it takes until the primaries that fail are marked DOWN; `None` if longer than
/// `limit`.
fn time_until_down(stats: &Stats, victims: usize, limit: Duration) -> Option<Duration> {
    let start = Instant::now();
    let is_down = |number| stats.row(&format!("nginx{number}"))["status"].starts_with("DOWN");
    wait_within(limit, || {
        (1..=victims).all(is_down).then(|| start.elapsed())
    })
}

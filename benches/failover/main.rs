//! What clients notice when both primaries fail under load.
//!
//! Opens connections at a steady rate through Backstop with `configs/backup-server.toml`, makes
//! both primaries fail in the middle, and tells how many connections failed and how long the
//! slowest took; then the same with `HAProxy`, if it is installed, and its configuration of the
//! same scenario. The test servers are child processes, so that they can really be killed.
//! A connection that a server had when it failed is lost with it, whatever the proxy: those are
//! counted apart, as cut.
//!
//! `cargo bench --bench failover -- --rate 200 --seconds 16 --fault kill`

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod load;
mod report;

use std::any::Any;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use rustix::process::Signal;

use crate::harness::backstop::Backstop;
use crate::harness::daemon::Daemon;
use crate::harness::haproxy::Haproxy;
use crate::harness::scenario::{BACKUP_SERVER, Entrance, Site};
use crate::harness::server::Server;
use crate::harness::stats::Stats;
use crate::harness::wait::{wait_until, wait_within};
use crate::load::Load;
use crate::report::Report;

const HAPROXY_CONFIG: &str = include_str!("../../tests/real/haproxy/backup-server.cfg");

/// What clients notice when both primaries fail under load.
#[derive(Debug, Parser)]
struct Arguments {
    /// Connections opened per second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// How long to open connections; the primaries fail after half of it
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=600))]
    seconds: u32,
    /// How the primaries fail
    #[arg(long, value_enum, default_value_t = Fault::Kill)]
    fault: Fault,
    /// Be a test server with this name and address, which is how this program starts its own
    #[arg(long, num_args = 2, value_names = ["NAME", "ADDRESS"], hide = true)]
    serve: Option<Vec<String>>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fault {
    /// The processes die, and their ports refuse
    Kill,
    /// The processes stand still: the kernel accepts for them, and nothing answers
    Freeze,
}

impl Fault {
    fn signal(self) -> Signal {
        match self {
            Self::Kill => Signal::KILL,
            Self::Freeze => Signal::STOP,
        }
    }
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(serve) = &arguments.serve {
        serve_for_ever(&serve[0], serve[1].parse().expect("an address"));
    }
    let load = Load {
        rate: arguments.rate,
        duration: Duration::from_secs(arguments.seconds.into()),
    };
    report::print_head(&load, arguments.fault);
    measure(&load, arguments.fault, "Backstop").print("Backstop");
    if Command::new("haproxy").arg("-v").output().is_ok() {
        measure(&load, arguments.fault, "HAProxy").print("HAProxy");
    } else {
        println!("HAProxy is not installed.");
    }
}

fn serve_for_ever(name: &str, address: SocketAddr) -> ! {
    let _server = Server::named(address, name);
    loop {
        thread::park();
    }
}

/// Starts the proxy that the entrance names; it runs until the value is dropped.
fn start_proxy(site: &Site, entrance: &Entrance) -> Box<dyn Any> {
    if entrance.name == "Backstop" {
        let config = site.readdress(BACKUP_SERVER.config, entrance);
        Box::new(Backstop::start(&config))
    } else {
        let config = site.readdress(HAPROXY_CONFIG, entrance);
        Box::new(Haproxy::start(&config, entrance.stats))
    }
}

fn measure(load: &Load, fault: Fault, proxy: &str) -> Report {
    let site = Site::new();
    let servers: Vec<_> = (1..=4).map(|number| start_server(&site, number)).collect();
    let entrance = site.entrance(proxy);
    let _proxy = start_proxy(&site, &entrance);
    for number in 1..=4 {
        entrance.stats.wait_for_up(&format!("nginx{number}"));
    }
    let (address, half, servers) = (entrance.address, load.duration / 2, &servers[..2]);
    thread::scope(|scope| {
        let failing = scope.spawn(move || {
            thread::sleep(half);
            let failed = fail(servers, fault);
            (failed, time_until_down(&entrance.stats, half))
        });
        let connections = load.run(address);
        let (failed, noticed) = failing.join().expect("no panic");
        Report {
            connections,
            failed,
            noticed,
        }
    })
}

/// Makes the servers fail, and returns when they had.
fn fail(servers: &[TestServer], fault: Fault) -> Instant {
    for server in servers {
        server.process.signal(fault.signal());
    }
    if let Fault::Kill = fault {
        // A process takes a moment to die, and until then the kernel accepts for it.
        for server in servers {
            while TcpStream::connect(server.address).is_ok() {}
        }
    }
    Instant::now()
}

struct TestServer {
    process: Daemon,
    address: SocketAddr,
}

fn start_server(site: &Site, number: usize) -> TestServer {
    let name = format!("nginx-{number}");
    let address = site.server(number);
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--serve", &name, &address.to_string()]);
    let process = Daemon::spawn(&name, &mut command);
    wait_until("a test server should answer", || {
        harness::http::curl(address).is_ok()
    });
    TestServer { process, address }
}

/// How long it takes until both primaries are marked DOWN; `None` if longer than `limit`.
fn time_until_down(stats: &Stats, limit: Duration) -> Option<Duration> {
    let start = Instant::now();
    let is_down = |server| stats.row(server)["status"].starts_with("DOWN");
    wait_within(limit, || {
        (is_down("nginx1") && is_down("nginx2")).then(|| start.elapsed())
    })
}

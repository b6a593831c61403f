//! What it takes to check very many servers.
//!
//! Starts Backstop, and HAProxy with a configuration that means the same, in front of 10,000
//! servers in 100 backends, each checked every 2 s, and tells what that costs and how punctual the
//! checks are. All servers are one listener in this program: Linux takes the whole of 127.0.0.0/8
//! as its own, so each server has an address of its own there.
//!
//! A check is late by as much as it comes more than the interval after the one before it, seen
//! from the server.
//!
//! Everything runs in network and process namespaces of its own, so that nothing else is seen and
//! nothing is left behind. That takes root, or a system that lets users make namespaces.
//!
//! `cargo bench --bench checks -- --servers 10000 --backends 100`

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod config;
mod listener;
mod process;
mod report;

use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::config::Layout;
use crate::harness::enclosure::{self, Place};
use crate::harness::wait::wait_until;
use crate::listener::Listener;
use crate::process::Proxy;
use crate::report::Report;

/// What it takes to check very many servers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Servers, over all backends
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    servers: u32,
    /// Backends, each with a frontend
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=800))]
    backends: u32,
    /// Between two checks of a server, in milliseconds
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
    interval: u32,
    /// How long to measure
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=600))]
    seconds: u32,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match enclosure::enter() {
        Place::Done(code) => return code,
        Place::Inside => {}
        Place::Outside => {
            println!("This takes root (or user namespaces), unshare and ip.");
            return ExitCode::FAILURE;
        }
    }
    let descriptors = backstop::sys::limits::raise_open_files();
    let listener = Listener::start();
    let layout = Layout {
        servers: arguments.servers,
        backends: arguments.backends,
        interval: Duration::from_millis(arguments.interval.into()),
        port: listener.port(),
    };
    let window = Duration::from_secs(arguments.seconds.into());
    report::print_head(&layout, window, descriptors);
    measure(&layout, window, &listener, Proxy::backstop).print("Backstop");
    if Command::new("haproxy").arg("-v").output().is_ok() {
        measure(&layout, window, &listener, Proxy::haproxy).print("HAProxy");
    } else {
        println!("HAProxy is not installed.");
    }
    ExitCode::SUCCESS
}

fn measure(
    layout: &Layout,
    window: Duration,
    listener: &Listener,
    start: fn(&Layout) -> Proxy,
) -> Report {
    let began = Instant::now();
    let proxy = start(layout);
    let ready = began.elapsed();
    listener.forget();
    wait_until("every server should be checked", || {
        listener.servers_checked() == layout.servers as usize
    });
    // Only now is nothing of the start left.
    thread::sleep(layout.interval);
    listener.forget();
    let before = proxy.cpu();
    let open = count_descriptors(&proxy, window);
    let after = proxy.cpu();
    Report {
        ready,
        resident_kib: proxy.resident_kib(),
        descriptors: open,
        cpu: after.total.saturating_sub(before.total),
        control: after.main_thread.saturating_sub(before.main_thread),
        window,
        checks: listener.checks(),
        lateness: listener.lateness(layout.interval),
    }
}

/// The most descriptors seen open at once while the measurement runs.
fn count_descriptors(proxy: &Proxy, window: Duration) -> usize {
    let end = Instant::now() + window;
    let mut most = 0;
    while Instant::now() < end {
        most = most.max(proxy.descriptors());
        thread::sleep(window / 20);
    }
    most
}

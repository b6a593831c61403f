//! What clients notice of very many reloads.
//!
//! Reloads a running Backstop a thousand times in a minute while `wrk` makes a connection for each
//! request, and long-lived sessions send and compare bytes all the time. Each configuration has
//! other servers, weights and listeners than the one before it. Then it tells how many connections
//! failed, how many sessions broke, and whether memory and descriptors have grown.
//!
//! `cargo bench --bench reload -- --reloads 1000 --seconds 60` needs the program `wrk`.

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod load;
mod scene;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::load::{LongSessions, Wrk};
use crate::scene::Scene;

/// What clients notice of very many reloads.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    reloads: u32,
    /// In how long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(2..=3600))]
    seconds: u32,
    /// Long-lived sessions
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5000))]
    sessions: u32,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the process takes up.
#[derive(Debug, Clone, Copy)]
struct Size {
    resident_kib: u64,
    descriptors: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if std::process::Command::new("wrk")
        .arg("-v")
        .output()
        .is_err()
    {
        println!("This takes the program wrk.");
        return ExitCode::FAILURE;
    }
    let scene = Scene::start();
    let sessions = LongSessions::open(scene.long_entrance(), arguments.sessions);
    // wrk outlives the reloads, so that the last of them is under load too.
    let wrk = Wrk::start(scene.web_entrance(), arguments.seconds + 2);
    let length = Duration::from_secs(arguments.seconds.into());
    let (sizes, times) = reload(&scene, arguments.reloads, length);
    let wrk = wrk.finish();
    let broken = sessions.finish();
    report(&arguments, &sizes, &times, &wrk, &broken, &scene)
}

/// Reloads at even intervals. Returns what the process took up ten times on the way, and how long
/// each reload took.
fn reload(scene: &Scene, count: u32, length: Duration) -> (Vec<Size>, Vec<Duration>) {
    let began = Instant::now();
    let (mut sizes, mut times) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let due = began + length.mul_f64(f64::from(number) / f64::from(count));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let before = Instant::now();
        scene.reload(number);
        times.push(before.elapsed());
        if number % (count / 10) == 0 {
            sizes.push(Size {
                resident_kib: scene.backstop.resident_kib(),
                descriptors: scene.backstop.descriptors(),
            });
        }
    }
    times.sort_unstable();
    (sizes, times)
}

fn report(
    arguments: &Arguments,
    sizes: &[Size],
    times: &[Duration],
    wrk: &load::Requests,
    broken: &load::Exchanged,
    scene: &Scene,
) -> ExitCode {
    let (reloads, seconds) = (arguments.reloads, arguments.seconds);
    println!("{reloads} reloads in {seconds} s\n");
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("a reload            median {median:.1?}, slowest {slowest:.1?}");
    println!(
        "new connections     {} made, {} failed",
        wrk.done, wrk.failed
    );
    let sessions = arguments.sessions;
    println!(
        "long sessions       {sessions} open all the time, {} exchanges compared, {} broken",
        broken.exchanges, broken.broken
    );
    let told = |of: fn(&Size) -> u64| {
        let numbers = sizes.iter().map(|size| of(size).to_string());
        numbers.collect::<Vec<_>>().join(" ")
    };
    println!("resident KiB        {}", told(|size| size.resident_kib));
    println!(
        "open descriptors    {}",
        told(|size| size.descriptors as u64)
    );
    let info = scene.info();
    println!(
        "counted             {} reloads, {} of them failed",
        info.reloads, info.failed
    );
    let well = wrk.failed == 0
        && wrk.done > 0
        && broken.broken == 0
        && info.failed == 0
        && info.reloads == u64::from(reloads);
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

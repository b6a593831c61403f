//! Which worker sessions live on.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;

use rustix::process::Signal;

use crate::harness::farm::{self, Farm};
use crate::harness::http;
use crate::harness::server::Server;

/// By how many sessions a worker may be ahead of another (`src/topology/loads.rs`).
const MARGIN: u64 = 4;

/// A session that has carried bytes both ways.
fn try_open(farm: &Farm) -> io::Result<TcpStream> {
    let mut client = farm::connect(farm.entrance())?;
    client.write_all(b"four")?;
    let mut back = [0; 4];
    client.read_exact(&mut back)?;
    assert_eq!(&back, b"four");
    Ok(client)
}

fn open(farm: &Farm) -> TcpStream {
    try_open(farm).expect("a session")
}

/// A metric of every worker.
fn of_workers(farm: &Farm, metric: &str) -> Vec<u64> {
    let stats = farm.stats();
    let page = http::get(stats.address, "/metrics", &stats.authorization()).expect("metrics");
    let samples = page.body.lines().filter(|line| line.starts_with(metric));
    let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok());
    values.collect()
}

fn farm(threads: usize) -> (Farm, Server) {
    let farm = Farm::new().top(&format!("threads = {threads}"));
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    (farm, server)
}

/// The kernel's hash spreads connections by chance only.
#[test]
fn sessions_that_stay_are_spread_evenly() {
    for (threads, sessions) in [(2, 40), (4, 40), (2, 400), (4, 400)] {
        let (farm, _server) = farm(threads);
        let backstop = farm.start();
        let clients: Vec<_> = (0..sessions).map(|_| open(&farm)).collect();
        let spread = of_workers(&farm, "backstop_worker_current_sessions{");
        assert_eq!((spread.len(), spread.iter().sum()), (threads, sessions));
        let ahead = spread.iter().max().unwrap() - spread.iter().min().unwrap();
        let handed_on = of_workers(&farm, "backstop_worker_sessions_handed_on_total{");
        println!("{sessions} sessions: {spread:?}, of which handed on {handed_on:?}");
        assert!(ahead <= MARGIN, "{spread:?}");
        drop(clients);
        backstop.wait_for_sessions(sessions as usize);
        let spread = of_workers(&farm, "backstop_worker_current_sessions{");
        assert_eq!(spread, vec![0; threads]);
    }
}

/// All that are let in are served and counted, within `maxconn` and also while the process begins to
/// drain.
#[test]
fn no_session_is_lost_when_it_is_handed_on() {
    const CLIENTS: usize = 8;
    const EACH: usize = 40;
    let (farm, _server) = farm(4);
    let farm = farm.top("maxconn = 45");
    let mut backstop = farm.start();
    let held: Vec<_> = (0..40).map(|_| open(&farm)).collect();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| (0..EACH).for_each(|_| drop(open(&farm))));
        }
    });
    let total = |metric| of_workers(&farm, metric).iter().sum::<u64>();
    let sessions = total("backstop_worker_sessions_total{");
    assert_eq!(sessions, 40 + (CLIENTS * EACH) as u64);
    assert!(total("backstop_worker_sessions_handed_on_total{") > 0);
    assert_eq!(farm.stats().row("ft/FRONTEND")["smax"], "45");
    // What is accepted until the listeners are closed is served. One that connects between the last
    // look into the queue and its end is reset by the kernel.
    let served = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let sessions = std::iter::from_fn(|| try_open(&farm).ok());
                    sessions.count()
                })
            })
            .collect();
        backstop.signal(Signal::TERM);
        let served = clients
            .into_iter()
            .map(|client| client.join().expect("served"));
        served.sum::<usize>()
    });
    drop(held);
    assert_eq!(backstop.wait().code(), Some(0));
    assert_eq!(backstop.sessions().len(), 40 + CLIENTS * EACH + served);
}

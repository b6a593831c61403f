//! Which worker sessions live on.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::harness::backstop;
use crate::harness::farm::{self, Farm};
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;

/// By how many sessions a worker may be ahead of another (`src/topology/loads.rs`).
const MARGIN: u64 = 4;

/// A session that has carried bytes both ways.
fn try_open(entrance: SocketAddr) -> io::Result<TcpStream> {
    let mut client = farm::connect(entrance)?;
    client.write_all(b"four")?;
    let mut back = [0; 4];
    client.read_exact(&mut back)?;
    assert_eq!(&back, b"four");
    Ok(client)
}

fn open(farm: &Farm) -> TcpStream {
    try_open(farm.entrance()).expect("a session")
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
    // So many that the kernel's hash cannot happen to spread them evenly.
    const HELD: usize = 200;
    let (farm, _server) = farm(4);
    let farm = farm.top(&format!("maxconn = {}", HELD + 5));
    let mut backstop = farm.start();
    let held: Vec<_> = (0..HELD).map(|_| open(&farm)).collect();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| (0..EACH).for_each(|_| drop(open(&farm))));
        }
    });
    let total = |metric| of_workers(&farm, metric).iter().sum::<u64>();
    let sessions = total("backstop_worker_sessions_total{");
    assert_eq!(sessions, (HELD + CLIENTS * EACH) as u64);
    assert!(total("backstop_worker_sessions_handed_on_total{") > 0);
    assert_eq!(farm.stats().row("ft/FRONTEND")["smax"], "205");
    // What is accepted until the listeners are closed is served. One that connects between the last
    // look into the queue and its end is reset by the kernel.
    let served = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let sessions = std::iter::from_fn(|| try_open(farm.entrance()).ok());
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
    assert_eq!(backstop.sessions().len(), HELD + CLIENTS * EACH + served);
}

/// A listener that a reload closes leaves nothing behind that it has handed on.
#[test]
fn reloads_lose_nothing_that_is_handed_on() {
    const CLIENTS: usize = 4;
    const AT_ONCE: usize = 100;
    let (farm, _server) = farm(4);
    let directory = TempDir::new();
    let api = directory.path().join("api").display().to_string();
    let farm = farm.top(&format!("api = {{ socket = \"{api}\" }}"));
    let entrance = farm.next();
    let without = farm.config();
    let with =
        format!("{without}\n[frontends.second]\nbind = \"{entrance}\"\ndefault_backend = \"bk\"\n");
    let backstop = farm.start();
    let reload = |config: &str| {
        let told = || {
            let log = backstop.log();
            let lines = log
                .iter()
                .filter(|line| line.contains("Configuration reloaded"));
            lines.count()
        };
        let before = told();
        backstop.configure(config);
        backstop.signal(Signal::HUP);
        wait_until("the reload should be told", || told() > before);
    };
    let over = AtomicBool::new(false);
    let come_and_go = || {
        let mut served = 0;
        while !over.load(Ordering::Relaxed) {
            // Refused while nobody listens.
            let open = (0..AT_ONCE).filter_map(|_| try_open(entrance).ok());
            served += open.collect::<Vec<_>>().len();
        }
        served
    };
    let total = |metric| of_workers(&farm, metric).iter().sum::<u64>();
    let handed_on = || total("backstop_worker_sessions_handed_on_total{");
    let served: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(come_and_go)).collect();
        // Whether a worker is ahead while the second frontend is there is a matter of chance.
        for round in 0..500 {
            if round >= 10 && handed_on() > 0 {
                break;
            }
            reload(&with);
            reload(&without);
        }
        over.store(true, Ordering::Relaxed);
        let served = clients
            .into_iter()
            .map(|client| client.join().expect("served"));
        served.sum()
    });
    assert!(handed_on() > 0);
    assert_eq!(total("backstop_worker_sessions_total{"), served as u64);
    wait_until("all sessions should end", || {
        total("backstop_worker_current_sessions{") == 0
    });
    // What was admitted has left, whether or not a session was made of it.
    let info = backstop::run(&["ctl", "-s", &api, "show", "info"]).stdout;
    assert!(info.lines().any(|line| line == "CurrConns: 0"), "{info}");
}

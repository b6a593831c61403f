//! Clients that are denied, and those that come too often.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::farm::{Farm, connect};
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;

fn start(farm: Farm) -> (Farm, Server) {
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    (farm, server)
}

fn is_served(mut stream: &TcpStream) -> bool {
    let mut seen = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut seen).is_ok()
}

/// A connection that is refused may be reset before it is known to stand.
fn is_served_at_all(farm: &Farm) -> bool {
    connect(farm.entrance()).is_ok_and(|client| is_served(&client))
}

fn wait_for_dcon(farm: &Farm, count: u32) {
    wait_until("refused connections should be counted", || {
        farm.stats().row("ft/FRONTEND")["dcon"] == count.to_string()
    });
}

#[test]
fn an_address_of_the_deny_file_is_refused() {
    let directory = TempDir::new();
    let file = directory.write(
        "deny.txt",
        "# loopback\n127.0.0.0/8\n\n2001:db8::/32 # others\n",
    );
    let file = file.to_str().expect("a plain name");
    let (farm, server) = start(Farm::new().frontend(&format!("deny_file = \"{file}\"")));
    let backstop = farm.start();
    assert!((0..3).all(|_| !is_served_at_all(&farm)));
    wait_for_dcon(&farm, 3);
    let row = farm.stats().row("ft/FRONTEND");
    assert_eq!([&*row["stot"], &*row["dses"]], ["0", "0"]);
    assert_eq!(server.accepted(), 0);
    backstop.wait_for_log("Frontend ft refused ");
    assert_eq!(backstop.sessions().len(), 0);
}

#[test]
fn only_who_is_allowed_is_served() {
    let (farm, _server) = start(Farm::new().frontend(r#"allow = ["10.0.0.0/8", "127.0.0.1"]"#));
    let _backstop = farm.start();
    assert!(is_served(&farm.connect()));
    assert_eq!(farm.stats().row("ft/FRONTEND")["dcon"], "0");
}

#[test]
fn an_address_above_its_rate_is_refused_and_served_again_later() {
    let limit = r#"source_rate_limit = { sessions = 3, per = "2s" }"#;
    let (farm, _server) = start(Farm::new().frontend(limit));
    let _backstop = farm.start();
    let served = (0..5).filter(|_| is_served_at_all(&farm)).count();
    // More only if this took longer than the third of two seconds.
    assert!((3..=5).contains(&served), "{served}");
    wait_for_dcon(&farm, 5 - served as u32);
    wait_until("a session should be allowed again", || {
        is_served_at_all(&farm)
    });
}

#[test]
fn a_frontend_above_its_rate_lets_connections_wait() {
    let (farm, _server) = start(Farm::new().frontend("rate_limit = 20"));
    let _backstop = farm.start();
    assert_eq!(farm.stats().row("ft/FRONTEND")["rate_lim"], "20");
    let began = Instant::now();
    let clients: Vec<_> = (0..30).map(|_| farm.connect()).collect();
    assert!(clients.iter().all(is_served));
    // Twenty at once, ten more at twenty a second.
    assert!(
        began.elapsed() >= Duration::from_millis(490),
        "{:?}",
        began.elapsed()
    );
}

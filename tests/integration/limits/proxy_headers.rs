//! PROXY headers, taken and sent.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::backstop::Backstop;
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::wait::{wait_for, wait_until};

const TOLD: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 5007 8443\r\n";
const GARBAGE: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A server that says what line it got first, and then sends back the rest.
fn telling(address: SocketAddr) -> Server {
    Server::start(address, |stream| {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        let _ = reader.read_line(&mut line);
        let _ = (&*stream).write_all(line.as_bytes());
        let _ = io::copy(&mut reader, &mut &*stream);
    })
}

/// The loopback speaks for others.
fn accepting(farm: Farm) -> Farm {
    farm.frontend(r#"accept_proxy = { from = "127.0.0.0/8", timeout = "300ms" }"#)
}

fn echo(farm: Farm) -> (Farm, Server) {
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    (farm, server)
}

fn exchange(mut stream: &TcpStream, bytes: &str) {
    stream.write_all(bytes.as_bytes()).expect("taken");
    let mut seen = vec![0; bytes.len()];
    stream.read_exact(&mut seen).expect("echoed");
    assert_eq!(seen, bytes.as_bytes());
}

fn refused(farm: &Farm, reason: &str, count: u64) {
    let wanted =
        format!("backstop_frontend_refused_total{{proxy=\"ft\",reason=\"{reason}\"}} {count}");
    wait_until(&wanted, || {
        let stats = farm.stats();
        let metrics = crate::harness::http::get(stats.address, "/metrics", &stats.authorization());
        metrics
            .expect("metrics")
            .body
            .lines()
            .any(|line| line == wanted)
    });
}

fn code(backstop: &Backstop) -> String {
    wait_for("a session that ended early", || {
        let mut sessions = backstop.sessions().into_iter();
        sessions
            .find(|s| s.code != "--")
            .map(|session| session.code)
    })
}

#[test]
fn the_client_is_who_the_header_says() {
    let (farm, _server) = echo(accepting(Farm::new()));
    let backstop = farm.start();
    let client = farm.connect();
    (&client).write_all(TOLD.as_bytes()).expect("taken");
    exchange(&client, "hello");
    drop(client);
    let line = backstop.wait_for_log(" ft bk/s1 ");
    assert!(line.contains(" 192.0.2.7:5007 ["), "{line}");
}

/// The header has a limit of its own, and the connection to the server has all of its time after it.
#[test]
fn waiting_for_the_header_is_no_part_of_connecting() {
    let farm = Farm::new().timeout(r#"connect = "100ms", client = "60s", server = "60s""#);
    let farm = farm.frontend(r#"accept_proxy = { from = "127.0.0.0/8", timeout = "10s" }"#);
    let (farm, _server) = echo(farm);
    let backstop = farm.start();
    let client = farm.connect();
    let connected = Instant::now();
    wait_until("longer than connecting may take", || {
        connected.elapsed() > Duration::from_millis(300)
    });
    (&client).write_all(TOLD.as_bytes()).expect("taken");
    exchange(&client, "hello");
    drop(client);
    let sessions = backstop.wait_for_sessions(1);
    assert_eq!((&*sessions[0].code, &*sessions[0].server), ("--", "s1"));
    assert!(sessions[0].total_time >= 300);
}

/// Bytes right behind the header, in the same packet and in one that cuts the header.
#[test]
fn what_follows_the_header_is_not_lost() {
    let (farm, _server) = echo(accepting(Farm::new()));
    let _backstop = farm.start();
    let at_once = farm.connect();
    let mut bytes = TOLD.as_bytes().to_vec();
    bytes.extend(b"hello");
    (&at_once).write_all(&bytes).expect("taken");
    let mut seen = [0; 5];
    (&at_once).read_exact(&mut seen).expect("echoed");
    assert_eq!(&seen, b"hello");

    let piecemeal = farm.connect();
    piecemeal.set_nodelay(true).expect("a socket");
    for byte in &bytes {
        (&piecemeal).write_all(&[*byte]).expect("taken");
        std::thread::yield_now();
    }
    (&piecemeal).read_exact(&mut seen).expect("echoed");
    assert_eq!(&seen, b"hello");
}

#[test]
fn a_balancers_own_connection_is_its_own() {
    let (farm, _server) = echo(accepting(Farm::new()));
    let backstop = farm.start();
    for header in [
        b"PROXY UNKNOWN\r\n".as_slice(),
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    ] {
        let client = farm.connect();
        (&client).write_all(header).expect("taken");
        exchange(&client, "ping");
    }
    let sessions = backstop.wait_for_sessions(2);
    assert!(sessions.iter().all(|session| session.code == "--"));
    assert!(
        backstop
            .log()
            .iter()
            .filter(|line| line.contains(" 127.0.0.1:"))
            .count()
            >= 2
    );
}

#[test]
fn no_header_a_cut_header_and_a_slow_one_are_ended_and_counted() {
    let (farm, server) = echo(accepting(Farm::new()));
    let backstop = farm.start();
    let mut garbage = farm.connect();
    garbage.write_all(GARBAGE.as_bytes()).expect("taken");
    assert!(matches!(garbage.read(&mut [0]), Ok(0) | Err(_)));
    refused(&farm, "proxy_header_garbage", 1);
    assert_eq!(code(&backstop), "PR");

    let cut = farm.connect();
    (&cut).write_all(b"PROXY TC").expect("taken");
    drop(cut);
    refused(&farm, "proxy_header_missing", 1);

    let mut slow = farm.connect();
    slow.write_all(b"PROXY TCP4 192").expect("taken");
    assert!(matches!(slow.read(&mut [0]), Ok(0) | Err(_)));
    refused(&farm, "proxy_header_late", 1);
    let row = farm.stats().row("ft/FRONTEND");
    assert_eq!([&*row["ereq"], &*row["dreq"]], ["3", "0"]);
    assert_eq!(server.accepted(), 0);
    backstop.wait_for_log("Frontend ft refused ");
}

#[test]
fn others_are_plain_clients() {
    let farm = Farm::new().frontend(r#"accept_proxy = { from = "192.0.2.0/24" }"#);
    let (farm, _server) = echo(farm);
    let backstop = farm.start();
    // What it sends is not believed, but the server's to judge.
    let client = farm.connect();
    exchange(&client, TOLD);
    drop(client);
    let line = backstop.wait_for_log(" ft bk/s1 ");
    assert!(line.contains(" 127.0.0.1:"), "{line}");
}

#[test]
fn rules_and_lists_see_the_client_of_the_header() {
    let farm = accepting(Farm::new())
        .frontend(r#"deny = ["203.0.113.0/24"]"#)
        .frontend(r#"use_backend = [{ backend = "bk", if = "src 192.0.2.7 and dst_port 8443" }, { backend = "nowhere" }]"#);
    let (farm, _server) = echo(farm);
    let config = farm.config().replace("default_backend = \"bk\"\n", "")
        + "\n[backends.nowhere]\nservers = [{ name = \"none\", address = \"127.0.0.1:1\" }]\n";
    let _backstop = Backstop::start(&config);
    let client = farm.connect();
    (&client).write_all(TOLD.as_bytes()).expect("taken");
    exchange(&client, "hello");
    let mut denied = farm.connect();
    denied
        .write_all(b"PROXY TCP4 203.0.113.9 198.51.100.1 5 8443\r\n")
        .expect("taken");
    assert!(matches!(denied.read(&mut [0]), Ok(0) | Err(_)));
    refused(&farm, "proxied_address", 1);
    assert_eq!(farm.stats().row("ft/FRONTEND")["dses"], "1");
}

#[test]
fn a_server_is_told_who_the_client_is() {
    let farm = accepting(Farm::new()).backend(r#"send_proxy = "v1""#);
    let server = telling(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let _backstop = farm.start();
    let client = farm.connect();
    (&client).write_all(TOLD.as_bytes()).expect("taken");
    let mut seen = vec![0; TOLD.len()];
    (&client).read_exact(&mut seen).expect("the line");
    assert_eq!(seen, TOLD.as_bytes());
    exchange(&client, "hello");
}

#[test]
fn a_server_is_told_of_plain_clients_too_and_by_checks() {
    let farm = Farm::new();
    let server = telling(farm.next());
    let check = r#"send_proxy = "v1", check = { steps = [{ expect = "PROXY TCP4 127.0.0.1 " }], interval = "100ms" }"#;
    let farm = farm.server("s1", server.address(), check);
    let _backstop = farm.start();
    farm.stats().wait_for_up("s1");
    let client = farm.connect();
    let own = client.local_addr().expect("an address");
    let line = format!(
        "PROXY TCP4 {} {} {} {}\r\n",
        own.ip(),
        farm.entrance().ip(),
        own.port(),
        farm.entrance().port()
    );
    let mut seen = vec![0; line.len()];
    (&client).read_exact(&mut seen).expect("the line");
    assert_eq!(String::from_utf8_lossy(&seen), line);
}

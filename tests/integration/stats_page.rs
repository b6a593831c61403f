//! The stats page and its live stream, over plain sockets.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;

use crate::harness::backstop::Backstop;
use crate::harness::farm::{Farm, connect};
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::stats::Stats;
use crate::harness::wait::{DEADLINE, wait_until};

/// Streams at once that are not refused.
const MOST_STREAMS: usize = 32;

struct Served {
    farm: Farm,
    _backstop: Backstop,
    servers: [Server; 2],
}

impl Served {
    fn start() -> Self {
        let farm = Farm::new();
        let servers = ["s1", "s2"].map(|name| Server::named(farm.next(), name));
        let check = "check = { interval = \"100ms\" }";
        let farm = farm
            .top("threads = 2")
            .server("s1", servers[0].address(), check)
            .server("s2", servers[1].address(), check);
        let backstop = farm.start();
        for name in ["s1", "s2"] {
            farm.stats().wait_for_check(name);
        }
        Self {
            farm,
            _backstop: backstop,
            servers,
        }
    }

    fn page(&self) -> String {
        let stats = self.farm.stats();
        let page = http::get(stats.address, "/", &stats.authorization());
        let page = page.expect("the page");
        assert_eq!(page.status, 200);
        page.body
    }
}

/// A page that is looked at: its stream, and the elements that it has been told by their ids.
struct Live(BufReader<TcpStream>, HashMap<String, String>);

impl Live {
    /// Asks for a stream; `Err` is the status line if there is none.
    fn open(stats: &Stats) -> Result<Self, String> {
        let mut stream = connect(stats.address).expect("the stats page accepts");
        let authorization = stats.authorization();
        write!(
            stream,
            "GET /;live HTTP/1.1\r\nHost: test\r\n{authorization}\r\n"
        )
        .expect("taken");
        let mut live = Self(BufReader::new(stream), HashMap::new());
        let answer = live.line();
        if !answer.contains("200 OK") {
            return Err(answer);
        }
        while live.line() != "\r\n" {}
        Ok(live)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line in time");
        assert!(!line.is_empty(), "the stream has ended");
        line
    }

    /// Takes the next message.
    fn take_message(&mut self) {
        loop {
            // Between the lines of events are those that tell the sizes of chunks.
            if let Some(json) = self.line().strip_prefix("data: ") {
                let mut message: Value = serde_json::from_str(json).expect("JSON");
                let parts: Vec<(String, String)> =
                    serde_json::from_value(message["parts"].take()).expect("parts");
                self.1.extend(parts);
                return;
            }
        }
    }

    /// Waits until an element is as wanted.
    fn wait_for(&mut self, id: &str, wanted: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.1.get(id).is_some_and(|text| text.contains(wanted)) {
            assert!(
                Instant::now() < deadline,
                "no `{wanted}` in {:?}",
                self.1.get(id)
            );
            self.take_message();
        }
    }
}

#[test]
fn a_live_page_is_told_that_a_server_died_and_why() {
    let mut served = Served::start();
    let mut live = Live::open(&served.farm.stats()).expect("a stream");
    live.wait_for("b0-0", "class=\"up\"");
    served.servers[0].stop();
    live.wait_for("b0-0", "class=\"down\"");
    live.wait_for("events", "bk/s1 is down");
    served.servers[0].restart();
    live.wait_for("r0", "2 of 2 primaries");
    let page = served.page();
    assert!(
        page.contains("Layer4 connection problem: Connection refused"),
        "{page}"
    );
}

#[test]
fn a_stream_is_for_those_who_may_see_the_page() {
    let served = Served::start();
    let stats = served.farm.stats();
    let answer = http::get(stats.address, "/;live", "").expect("an answer");
    assert_eq!(answer.status, 401);
    assert!(!answer.body.contains("data:"), "{}", answer.body);
}

#[test]
fn readers_that_stall_keep_nobody_else_from_anything() {
    let served = Served::start();
    let stats = served.farm.stats();
    let stalled: Vec<_> = (0..MOST_STREAMS)
        .map(|_| Live::open(&stats).expect("a stream"))
        .collect();
    let refused = Live::open(&stats).err().expect("one too many");
    assert!(refused.contains("503"), "{refused}");
    for _ in 0..20 {
        http::curl(served.farm.entrance()).expect("forwarded");
        assert!(served.page().contains("</html>"));
    }
    drop(stalled);
    wait_until("there should be a place again", || {
        Live::open(&stats).is_ok()
    });
}

#[test]
fn a_stream_of_an_old_client_has_no_chunks() {
    let served = Served::start();
    let stats = served.farm.stats();
    let mut stream = connect(stats.address).expect("the stats page accepts");
    let authorization = stats.authorization();
    write!(stream, "GET /;live HTTP/1.0\r\n{authorization}\r\n").expect("taken");
    let mut live = Live(BufReader::new(stream), HashMap::new());
    while live.line() != "\r\n" {}
    let mut beginning = [0; 13];
    live.0.read_exact(&mut beginning).expect("the beginning");
    assert_eq!(&beginning, b"retry: 1000\n\n");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let served = Served::start();
    let page = served.page();
    for outside in ["src=", "url(", "@import", "://", "style=", "onclick"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

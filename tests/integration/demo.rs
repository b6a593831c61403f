//! `backstop demo`, as a script sees it.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};

use rustix::process::Signal;

use crate::harness::backstop::{command, run};
use crate::harness::daemon::Daemon;
use crate::harness::http;
use crate::harness::wait::{wait_for, wait_until};

const FREE_PORTS: [&str; 7] = [
    "demo",
    "--port",
    "0",
    "--stats-port",
    "0",
    "--control-port",
    "0",
];

struct Demo {
    daemon: Daemon,
    traffic: SocketAddr,
    stats: SocketAddr,
    control: SocketAddr,
}

impl Demo {
    /// Starts on free ports and waits until the client is answered.
    fn start(arguments: &[&str]) -> Self {
        let daemon = Daemon::spawn("demo", command().args(FREE_PORTS).args(arguments));
        let address = |word: &str| {
            wait_for(&format!("the address after `{word}`"), || {
                let lines = daemon.stdout();
                let line = lines.iter().find(|l| l.trim_start().starts_with(word))?;
                let (_, url) = line.split_once("http://")?;
                url.split('/').next()?.parse().ok()
            })
        };
        let (traffic, control) = (address("try"), address("control"));
        let demo = Self {
            stats: address("stats page"),
            daemon,
            traffic,
            control,
        };
        demo.wait_for_line("answers from web-1 and web-2");
        demo
    }

    fn wait_for_line(&self, part: &str) {
        wait_until(&format!("a line with `{part}`"), || {
            self.daemon.stdout().iter().any(|line| line.contains(part))
        });
    }

    fn order(&self, path: &str) -> String {
        http::get(self.control, path, "").unwrap().body
    }

    /// Who answers a few requests; every one must be answered.
    fn answers(&self) -> BTreeSet<String> {
        let curl = |_| http::curl(self.traffic).unwrap().trim_end().to_owned();
        (0..6).map(curl).collect()
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let code = self.daemon.wait().code();
        (code, self.daemon.stdout().pop().unwrap_or_default())
    }
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn servers_stopped_by_the_control_address_are_replaced_without_a_failed_request() {
    let mut demo = Demo::start(&[]);
    assert_eq!(demo.answers(), names(["web-1", "web-2"]));

    assert_eq!(demo.order("/stop/web-1"), "web-1 is stopped.\n");
    assert_eq!(demo.answers(), names(["web-2"]));
    assert_eq!(demo.order("/stop/web-2"), "web-2 is stopped.\n");
    let spares = names(["spare-1", "spare-2"]);
    assert!(demo.answers().is_subset(&spares));
    demo.wait_for_line("Running on backup.");
    demo.wait_for_line("answers from spare-1 and spare-2");
    assert_eq!(demo.answers(), spares);

    assert_eq!(demo.order("/start/web-1"), "web-1 is started.\n");
    assert_eq!(demo.order("/start/web-2"), "web-2 is started.\n");
    let primaries = names(["web-1", "web-2"]);
    wait_until("traffic returns to the primaries", || {
        demo.answers() == primaries
    });

    demo.daemon.signal(Signal::TERM);
    let (code, last) = demo.end();
    assert_eq!(code, Some(0));
    assert!(last.contains(" requests, 0 failed, slowest "), "{last}");
}

/// The page with all that belongs to it: it loads nothing else.
#[test]
fn the_stats_page_is_light() {
    let demo = Demo::start(&[]);
    for name in ["web-1", "web-2", "spare-1"] {
        demo.order(&format!("/stop/{name}"));
    }
    demo.wait_for_line("answers from farm-1 and farm-2");
    let page = http::get(demo.stats, "/", "").unwrap().body;
    assert!(page.contains("main/web-1 is down"), "{page}");
    assert!(page.len() < 60_000, "{}", page.len());
}

#[test]
fn the_control_address_says_what_it_can_do() {
    let demo = Demo::start(&[]);
    assert_eq!(demo.order("/stop/5"), "farm-1 is stopped.\n");
    assert_eq!(demo.order("/stop/farm-1"), "farm-1 is stopped already.\n");
    let help = http::get(demo.control, "/", "").unwrap();
    assert_eq!(help.status, 200);
    assert!(help.body.contains("/stop/NAME"), "{}", help.body);
    assert!(help.body.contains("farm-1   stopped"), "{}", help.body);
    assert!(help.body.contains("farm-2   running"), "{}", help.body);
    let wrong = http::get(demo.control, "/stop/web-9", "").unwrap();
    assert_eq!(wrong.status, 404);
    assert!(wrong.body.starts_with("There is no server \"web-9\"."));
}

#[test]
fn the_tour_loses_no_request_and_ends_by_itself() {
    let mut demo = Demo::start(&["--tour", "--step", "100ms"]);
    for step in 2..=7 {
        demo.wait_for_line(&format!("{step}/7: "));
    }
    let (code, last) = demo.end();
    assert!(last.contains(" requests, 0 failed, slowest "), "{last}");
    assert_eq!(code, Some(0), "the traffic moved as told");
    let lines = demo.daemon.stdout();
    let mut lines = lines.iter();
    for servers in [
        "web-1 and web-2",
        "web-2",
        "spare-1 and spare-2",
        "farm-1 and farm-2",
        "web-1",
        "web-1 and web-2",
    ] {
        let told = format!("answers from {servers}  (");
        assert!(lines.any(|line| line.contains(&told)), "{told} in its turn");
    }
}

#[test]
fn the_demo_ends_after_the_given_time() {
    let mut demo = Demo::start(&["--for", "2s"]);
    assert_eq!(demo.end().0, Some(0));
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = run(&["demo", "--port", &port.to_string()]);
    assert_eq!(output.code, Some(1));
    assert_eq!(
        output.stderr,
        format!(
            "error: the demo's frontend cannot listen on 127.0.0.1:{port}: another process is \
             listening there\nNothing was started."
        )
    );
}

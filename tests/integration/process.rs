//! The process: its options, its start, its end.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::backstop::{self, Backstop, Ended};
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;

/// Backstop before an echo server, with one session open.
struct OpenSession {
    farm: Farm,
    backstop: Backstop,
    client: TcpStream,
    _server: Server,
}

impl OpenSession {
    fn start(grace: &str) -> Self {
        let farm = Farm::new().top(&format!("grace = \"{grace}\""));
        let server = Server::echo(farm.next());
        let farm = farm.server("s1", server.address(), "");
        let mut session = Self {
            backstop: farm.start(),
            client: farm.connect(),
            farm,
            _server: server,
        };
        session.echo();
        session
    }

    fn echo(&mut self) {
        self.client.write_all(b"x").expect("taken");
        self.client.read_exact(&mut [0]).expect("echoed");
    }

    fn signal_and_wait_until_it_refuses(&self, signal: Signal) {
        self.backstop.signal(signal);
        wait_until("new connections should be refused", || {
            let refused = TcpStream::connect(self.farm.entrance()).map_err(|error| error.kind());
            refused.err() == Some(ErrorKind::ConnectionRefused)
        });
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.backstop.wait().code()
    }

    /// How many sessions the log says were killed while bytes flowed.
    fn cut_sessions(&self) -> usize {
        let sessions = self.backstop.sessions();
        sessions
            .iter()
            .filter(|session| session.code == "KD")
            .count()
    }

    fn is_cut(&mut self) -> bool {
        matches!(self.client.read(&mut [0]), Ok(0) | Err(_))
    }
}

#[test]
fn terminate_lets_an_open_session_go_on_to_its_end() {
    let mut session = OpenSession::start("60s");
    session.signal_and_wait_until_it_refuses(Signal::TERM);
    session.echo();
    session
        .client
        .shutdown(std::net::Shutdown::Both)
        .expect("open");
    assert_eq!(session.exit_code(), Some(0));
    assert_eq!(session.cut_sessions(), 0);
}

#[test]
fn interrupt_does_the_same() {
    let mut session = OpenSession::start("60s");
    session.signal_and_wait_until_it_refuses(Signal::INT);
    session.echo();
    session
        .client
        .shutdown(std::net::Shutdown::Both)
        .expect("open");
    assert_eq!(session.exit_code(), Some(0));
}

#[test]
fn a_second_signal_cuts_open_sessions() {
    let mut session = OpenSession::start("60s");
    session.signal_and_wait_until_it_refuses(Signal::TERM);
    session.backstop.signal(Signal::TERM);
    assert_eq!(session.exit_code(), Some(3));
    assert!(session.is_cut());
    assert_eq!(session.cut_sessions(), 1);
}

#[test]
fn open_sessions_are_cut_when_the_grace_is_over() {
    let mut session = OpenSession::start("300ms");
    let start = Instant::now();
    session.backstop.signal(Signal::TERM);
    assert_eq!(session.exit_code(), Some(3));
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(session.is_cut());
    assert_eq!(session.cut_sessions(), 1);
}

#[test]
fn without_sessions_it_stops_at_once() {
    let farm = Farm::new().top(r#"grace = "60s""#);
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "check = true");
    assert_eq!(farm.start().stop(), Some(0));
}

#[test]
fn it_can_start_again_at_once_on_the_same_addresses() {
    let farm = Farm::new();
    let server = Server::named(farm.next(), "s1");
    let farm = farm.server("s1", server.address(), "");
    for _ in 0..3 {
        let mut backstop = farm.start();
        assert_eq!(http::curl(farm.entrance()).expect("an answer"), "s1\n");
        assert_eq!(backstop.stop(), Some(0));
    }
}

#[test]
fn version() {
    let output = backstop::run(&["--version"]);
    let version = concat!("backstop ", env!("CARGO_PKG_VERSION"));
    assert_eq!(output.stdout, version);
    assert_eq!(output.code, Some(0));
}

#[test]
fn help_names_the_options_and_the_exit_codes() {
    let output = backstop::run(&["--help"]);
    assert_eq!(output.code, Some(0));
    let help = output.stdout;
    for word in ["--file <FILE>", "check", "run", "--log-level", "Exit codes"] {
        assert!(help.contains(word), "no `{word}` in:\n{help}");
    }
}

#[test]
fn an_unknown_option_is_wrong_usage() {
    let output = backstop::run(&["--colour"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("--colour"));
}

#[test]
fn a_missing_file() {
    let output = backstop::run(&["-f", "no-such-file.toml"]);
    assert_eq!(output.code, Some(1));
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("no-such-file.toml"));
}

/// Runs with a configuration that cannot be served, which ends the program.
fn run_in_vain(config: &str) -> Ended {
    let directory = TempDir::new();
    let file = directory.write("backstop.toml", config);
    backstop::run(&["-f", file.to_str().expect("a plain name")])
}

#[test]
fn a_wrong_configuration_starts_nothing() {
    let farm = Farm::new();
    let server = Server::named(farm.next(), "s1");
    let farm = farm.server("s1", server.address(), "chek = true");
    let output = run_in_vain(&farm.config());
    assert_eq!(output.code, Some(1));
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("chek"), "{output:?}");
    assert_eq!(server.accepted(), 0);
}

#[test]
fn an_address_in_use_is_named() {
    let farm = Farm::new();
    let server = Server::named(farm.next(), "s1");
    let farm = farm.server("s1", server.address(), "");
    let _holder = TcpListener::bind(farm.entrance()).expect("a free address");
    let output = run_in_vain(&farm.config());
    assert_eq!(output.code, Some(1));
    assert_eq!(output.stdout, "");
    let errors = output.stderr;
    let wanted = format!(
        "frontend ft cannot listen on {}: another process is listening there",
        farm.entrance()
    );
    assert!(errors.contains(&wanted), "{errors}");
}

#[test]
fn a_second_process_on_the_same_address_is_refused() {
    let farm = Farm::new();
    let server = Server::named(farm.next(), "s1");
    let farm = farm.server("s1", server.address(), "");
    let _first = farm.start();
    let second = run_in_vain(&farm.config());
    assert_eq!(second.code, Some(1));
    let errors = second.stderr;
    // Both addresses are taken, and both are told.
    assert!(errors.contains(&farm.entrance().to_string()), "{errors}");
    assert!(
        errors.contains(&farm.stats().address.to_string()),
        "{errors}"
    );
}

#[test]
fn json_logs_parse() {
    let farm = Farm::new().top("[log]").top(r#"format = "json""#);
    let server = Server::named(farm.next(), "s1");
    let farm = farm.server("s1", server.address(), "check = true");
    let mut backstop = farm.start();
    http::curl(farm.entrance()).expect("an answer");
    assert_eq!(backstop.stop(), Some(0));
    let log: Vec<Value> = backstop
        .log()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let session = log.iter().find(|line| line["target"] == "session");
    let session = session.expect("the session's line");
    assert_eq!(session["frontend"], "ft");
    assert_eq!(session["backend"], "bk");
    assert_eq!(session["server"], "s1");
    assert_eq!(session["termination"], "--");
    assert_eq!(session["redispatched"], false);
}

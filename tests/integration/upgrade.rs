//! One process takes over from another, and nobody notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::harness::backstop::{self, Backstop};
use crate::harness::farm::{Farm, connect};
use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{wait_for, wait_until};

/// An echo server behind whatever process serves now.
struct Served {
    farm: Farm,
    directory: TempDir,
    _server: Server,
}

impl Served {
    fn new() -> Self {
        let farm = Farm::new();
        let server = Server::echo(farm.next());
        let farm = farm.server("s1", server.address(), "check = true");
        Self {
            farm,
            directory: TempDir::new(),
            _server: server,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self, threads: u32) -> String {
        format!(
            "threads = {threads}\ngrace = \"60s\"\nupgrade_socket = \"{}\"\napi = {{ socket = \
             \"{}\", level = \"admin\" }}\n{}",
            self.path("upgrade").display(),
            self.path("api").display(),
            self.farm.config()
        )
    }

    /// Starts the first process or the next.
    fn start(&self, threads: u32) -> Backstop {
        Backstop::start_by(take_over(), &self.config(threads))
    }

    fn session(&self) -> TcpStream {
        let mut session = self.farm.connect();
        echo(&mut session);
        session
    }

    fn ctl(&self, words: &str) -> String {
        let api = self.path("api");
        let mut arguments = vec!["ctl", "-s", api.to_str().expect("UTF-8")];
        arguments.extend(words.split(' '));
        let ended = backstop::run(&arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }

    /// The process that answers the runtime API; none if it is just being taken over, which closes
    /// the connections that it has there.
    fn answering(&self) -> Option<i32> {
        let api = self.path("api");
        let api = api.to_str().expect("UTF-8");
        let info = backstop::run(&["ctl", "-s", api, "show", "info"]).stdout;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid: "));
        pid.map(|pid| pid.parse().expect("a number"))
    }

    fn pid(&self) -> i32 {
        self.answering().expect("an answer")
    }
}

fn take_over() -> Command {
    let mut command = backstop::command();
    command.arg("--take-over");
    command
}

fn echo(session: &mut TcpStream) {
    session.write_all(b"ping").expect("taken");
    let mut answer = [0; 4];
    session.read_exact(&mut answer).expect("echoed");
    assert_eq!(&answer, b"ping");
}

#[test]
fn sessions_go_on_in_the_old_process_and_begin_in_the_new_one() {
    let served = Served::new();
    let mut old = served.start(2);
    let mut session = served.session();
    let new = served.start(2);
    old.wait_for_log("has taken over");
    new.wait_for_log("Taken over from process");
    echo(&mut session);
    drop(served.session());
    new.wait_for_sessions(1);
    assert_eq!(old.sessions().len(), 0);
    assert_eq!(served.pid(), new.pid().as_raw_nonzero().get());
    drop(session);
    assert_eq!(old.wait().code(), Some(0));
    assert_eq!(old.sessions().len(), 1);
    // What the old one has left behind is the new one's.
    assert_eq!(served.pid(), new.pid().as_raw_nonzero().get());
    assert!(served.farm.stats().rows().is_ok());
}

#[test]
fn no_connection_is_lost_whatever_the_number_of_threads() {
    let served = Arc::new(Served::new());
    let mut old = served.start(1);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (served, stop) = (Arc::clone(&served), Arc::clone(&stop));
            thread::spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    drop(served.session());
                    count += 1;
                }
                count
            })
        })
        .collect();
    for threads in [3, 1, 2, 4, 2] {
        let new = served.start(threads);
        assert_eq!(old.wait().code(), Some(0));
        old = new;
    }
    stop.store(true, Ordering::Relaxed);
    let counts: Vec<u32> = clients
        .into_iter()
        .map(|client| client.join().expect("no connection was lost"))
        .collect();
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert_eq!(old.stop(), Some(0));
}

#[test]
fn a_new_process_that_fails_changes_nothing() {
    let served = Served::new();
    let mut old = served.start(2);
    let mut session = served.session();
    let wrong = served.config(2) + "[events]\nfile = \"/does/not/exist\"\n";
    let directory = TempDir::new();
    let file = directory.write("backstop.toml", &wrong);
    let new = backstop::run(&["--take-over", "-f", file.to_str().expect("UTF-8")]);
    assert_eq!(new.code, Some(1), "{new:?}");
    old.wait_for_log("did not: it ended before it was ready. This one goes on.");
    echo(&mut session);
    drop(served.session());
    assert_eq!(served.pid(), old.pid().as_raw_nonzero().get());
    // The next attempt is none the worse for it.
    let _new = served.start(2);
    drop(session);
    assert_eq!(old.wait().code(), Some(0));
}

#[test]
fn what_is_known_and_wanted_comes_over() {
    let served = Served::new();
    let mut old = served.start(1);
    served.ctl("set server bk/s1 weight 7");
    served.ctl("set server bk/s1 state drain");
    served.ctl("disable frontend ft");
    wait_until("the frontend should refuse", || {
        connect(served.farm.entrance()).is_err()
    });
    let _new = served.start(2);
    assert_eq!(old.wait().code(), Some(0));
    let row = served.farm.stats().row("s1");
    assert_eq!(
        (row["weight"].as_str(), row["status"].as_str()),
        ("7", "DRAIN")
    );
    wait_until("the frontend should refuse", || {
        connect(served.farm.entrance()).is_err()
    });
    served.ctl("enable frontend ft");
    served.ctl("set server bk/s1 state ready");
    drop(served.session());
}

#[test]
fn an_address_that_the_new_one_does_not_want_is_closed() {
    let served = Served::new();
    let other = served.farm.next();
    let with = format!("[frontends.other]\nbind = \"{other}\"\ndefault_backend = \"bk\"\n");
    let mut old = Backstop::start_by(take_over(), &(served.config(2) + &with));
    drop(connect(other).expect("accepted"));
    let _new = served.start(2);
    assert_eq!(old.wait().code(), Some(0));
    assert!(connect(other).is_err());
    drop(served.session());
}

#[test]
fn a_stop_signal_still_frees_the_addresses() {
    let served = Served::new();
    let old = served.start(2);
    let session = served.session();
    old.signal(Signal::TERM);
    wait_until("new connections should be refused", || {
        connect(served.farm.entrance()).is_err()
    });
    drop(session);
}

#[test]
fn without_a_place_to_ask_at_nothing_can_be_taken() {
    let farm = Farm::new();
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let directory = TempDir::new();
    let file = directory.write("backstop.toml", &farm.config());
    let ended = backstop::run(&["--take-over", "-f", file.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("`upgrade_socket`"), "{ended:?}");
}

#[test]
fn a_signal_starts_the_next_process() {
    let served = Served::new();
    let mut old = served.start(2);
    let mut session = served.session();
    old.signal(Signal::USR2);
    let new = wait_for("another process should answer", || {
        let pid = served.answering();
        pid.filter(|pid| *pid != old.pid().as_raw_nonzero().get())
    });
    let new = Pid::from_raw(new).expect("a process");
    echo(&mut session);
    drop(session);
    // Its pipes stay open: the new process has them now.
    wait_until("the old process should end", || old.has_ended());
    drop(served.session());
    kill_process(new, Signal::TERM).expect("it runs");
    wait_until("the new process should end", || {
        http::curl(served.farm.entrance()).is_err() && test_kill_process(new).is_err()
    });
}

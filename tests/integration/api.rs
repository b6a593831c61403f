//! The runtime API of the running program, through its socket and through `backstop ctl`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::harness::backstop::{self, Backstop, Ended};
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{DEADLINE, wait_for, wait_until};

/// Backstop with two echo servers `s1` and `s2` and a runtime API of level admin.
struct Served {
    farm: Farm,
    backstop: Backstop,
    socket: PathBuf,
    _directory: TempDir,
    servers: [Server; 2],
}

impl Served {
    fn start(api: &str) -> Self {
        let directory = TempDir::new();
        let socket = directory.path().join("api.sock");
        let farm = Farm::new();
        let servers = [Server::echo(farm.next()), Server::echo(farm.next())];
        let check = "check = { interval = \"100ms\" }";
        let farm = farm
            .top("threads = 2")
            .top(&format!("[api]\nsocket = \"{}\"\n{api}", socket.display()))
            .server("s1", servers[0].address(), check)
            .server("s2", servers[1].address(), check);
        let backstop = farm.start();
        Self {
            farm,
            backstop,
            socket,
            _directory: directory,
            servers,
        }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("the runtime API listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream
    }

    /// What is answered to `line` until the connection is closed.
    fn ask(&self, line: &str) -> String {
        let mut stream = self.connect();
        writeln!(stream, "{line}").expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn ctl(&self, words: &[&str]) -> Ended {
        let socket = self.socket.to_str().expect("UTF-8");
        backstop::run(&[&["ctl", "-s", socket], words].concat())
    }

    /// A session that has had an answer.
    fn session(&self) -> TcpStream {
        let mut stream = self.farm.connect();
        echo(&mut stream);
        stream
    }

    /// The lines of `show sess`.
    fn sessions(&self) -> Vec<String> {
        let answer = self.ask("show sess");
        let lines = answer.lines().filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }
}

fn echo(stream: &mut TcpStream) {
    stream.write_all(b"four").expect("taken");
    stream.read_exact(&mut [0; 4]).expect("echoed");
}

fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

const ADMIN: &str = "level = \"admin\"";

#[test]
fn sessions_are_listed_and_ended_by_number() {
    let served = Served::start(ADMIN);
    let (mut one, mut two) = (served.session(), served.session());
    let client = one.local_addr().expect("connected").to_string();
    let lines = served.sessions();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = lines.iter().find(|line| line.contains(&client));
    let line = line.expect("the first session is listed");
    let (id, rest) = line.split_once(": ").expect("a number");
    assert!(
        rest.starts_with(&format!("proto=tcpv4 src={client} fe=ft be=bk srv=s")),
        "{line}"
    );
    assert!(rest.ends_with("age=0s in=4 out=4"), "{line}");
    assert_eq!(
        served.ask(&format!("show sess {id}")),
        format!("{line}\n\n")
    );
    assert_eq!(served.ask(&format!("shutdown session {id}")), "\n");
    assert!(is_closed(&mut one));
    echo(&mut two);
    wait_until("one session should be left", || {
        served.sessions().len() == 1
    });
    let gone = "No such session (use 'show sess').\n\n";
    assert_eq!(served.ask(&format!("shutdown session {id}")), gone);
    let ended = served.backstop.wait_for_sessions(1);
    assert_eq!(ended[0].code, "KD");
}

#[test]
fn every_session_of_a_server_is_ended() {
    let served = Served::start(ADMIN);
    let mut clients: Vec<_> = (0..6).map(|_| served.session()).collect();
    assert_eq!(served.ask("shutdown sessions server bk/s1"), "\n");
    wait_until("three sessions should be left", || {
        served.sessions().len() == 3
    });
    assert!(
        served
            .sessions()
            .iter()
            .all(|line| line.contains(" srv=s2 "))
    );
    let told = served
        .backstop
        .wait_for_log("3 sessions on bk/s1 ended by force");
    assert!(
        told.contains("reason: set by operator on the runtime API (uid "),
        "{told}"
    );
    let mut closed = 0;
    for client in &mut clients {
        client.set_nonblocking(true).expect("a socket");
        closed += usize::from(is_closed(client));
    }
    assert_eq!(closed, 3);
}

#[test]
fn a_drained_server_gets_no_new_sessions_and_keeps_its_own() {
    let served = Served::start(ADMIN);
    let mut clients: Vec<_> = (0..2).map(|_| served.session()).collect();
    assert_eq!(served.ask("set server bk/s1 state drain"), "\n");
    clients.extend((0..4).map(|_| served.session()));
    let on = |server: &str| {
        let of = format!(" srv={server} ");
        served
            .sessions()
            .iter()
            .filter(|line| line.contains(&of))
            .count()
    };
    assert_eq!([on("s1"), on("s2")], [1, 5]);
    clients.iter_mut().for_each(echo);
    assert_eq!(served.farm.stats().row("s1")["status"], "DRAIN");
    assert_eq!(served.ask("set server bk/s1 state ready"), "\n");
    served.farm.stats().wait_for_up("s1");
}

#[test]
fn a_server_that_is_moved_serves_at_its_new_address_and_is_checked_there() {
    let served = Served::start(ADMIN);
    let mut elsewhere = Server::named(served.farm.next(), "elsewhere");
    assert_eq!(served.ask("disable server bk/s2"), "\n");
    let (ip, port) = (elsewhere.address().ip(), elsewhere.address().port());
    let answer = served.ask(&format!("set server bk/s1 addr {ip} port {port}"));
    assert!(
        answer.ends_with(" by 'stats socket command'\n\n"),
        "{answer}"
    );
    let body = crate::harness::http::curl(served.farm.entrance()).expect("served");
    assert_eq!(body, "elsewhere\n");
    // Where it was before, it still is.
    elsewhere.stop();
    served.farm.stats().wait_for_down("s1");
}

#[test]
fn a_server_that_is_not_checked_any_more_stays_what_it_is() {
    let mut served = Served::start(ADMIN);
    served.farm.stats().wait_for_check("s1");
    assert_eq!(served.ask("disable health bk/s1"), "\n");
    assert_eq!(served.ask("disable health bk/s2"), "\n");
    served.servers[0].stop();
    served.servers[1].stop();
    assert_eq!(served.ask("enable health bk/s2"), "\n");
    served.farm.stats().wait_for_down("s2");
    assert!(served.farm.stats().row("s1")["status"].starts_with("UP"));
    assert_eq!(served.ask("set server bk/s1 health down"), "\n");
    served.farm.stats().wait_for_down("s1");
    served
        .backstop
        .wait_for_log("backend bk has no server available!");
}

#[test]
fn a_paused_frontend_refuses_and_accepts_again() {
    let served = Served::start(ADMIN);
    let mut open = served.session();
    assert_eq!(served.ask("disable frontend ft"), "\n");
    wait_until("connections should be refused", || {
        TcpStream::connect(served.farm.entrance()).is_err()
    });
    assert_eq!(served.farm.stats().row("FRONTEND")["status"], "PAUSED");
    assert_eq!(
        served.ask("disable frontend ft"),
        "All sockets are already disabled.\n\n"
    );
    echo(&mut open);
    assert_eq!(served.ask("enable frontend ft"), "\n");
    wait_for("connections should be accepted again", || {
        TcpStream::connect(served.farm.entrance()).ok()
    });
    served.session();
}

#[test]
fn counters_are_cleared_and_go_on() {
    let served = Served::start(ADMIN);
    drop((served.session(), served.session()));
    served.backstop.wait_for_sessions(2);
    assert_eq!(served.farm.stats().row("FRONTEND")["stot"], "2");
    assert_eq!(served.ask("clear counters all"), "\n");
    let row = served.farm.stats().row("FRONTEND");
    assert_eq!([&row["stot"], &row["bin"], &row["smax"]], ["0", "0", "0"]);
    served.session();
    assert_eq!(served.farm.stats().row("FRONTEND")["stot"], "1");
}

#[test]
fn the_socket_is_for_its_owner_unless_the_file_says_more_and_goes_at_the_end() {
    let mut served = Served::start("mode = \"640\"");
    let mode = served
        .socket
        .metadata()
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(served.ask("disable server bk/s1"), "Permission denied\n\n");
    assert_eq!(served.ask("show cli level"), "operator\n\n");
    assert_eq!(served.backstop.stop(), Some(0));
    assert!(!served.socket.exists());
}

#[test]
fn a_socket_that_cannot_be_made_keeps_it_from_starting() {
    let farm = Farm::new().top("[api]\nsocket = \"/does/not/exist/api.sock\"");
    let address = farm.next();
    let farm = farm.server("s1", address, "");
    let mut backstop = Backstop::spawn(&farm.config());
    assert_eq!(backstop.wait().code(), Some(1));
    let errors = backstop.errors().join("\n");
    let wanted = "error: the runtime API cannot listen on /does/not/exist/api.sock: \
                  No such file or directory";
    assert!(errors.contains(wanted), "{errors}");
}

#[test]
fn clients_that_misbehave_hurt_nobody_else() {
    let served = Served::start(ADMIN);
    let mut open = served.session();
    let silent: Vec<_> = (0..40).map(|_| served.connect()).collect();
    let mut flood = served.connect();
    // It may be closed before everything is taken.
    let _ = flood.write_all(&vec![b'x'; 1 << 20]);
    let mut noise = served.connect();
    noise
        .write_all(&[0xff, 0, b';', 0x80, b'\n'])
        .expect("taken");
    let _ = noise.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    noise.read_to_end(&mut answer).expect("answered");
    assert!(answer.starts_with(b"Unknown command."));
    let mut hasty = served.connect();
    hasty
        .write_all(b"show stat; show sess; show events -w\n")
        .expect("taken");
    drop(hasty);
    assert_eq!(served.ask("show backend"), "# name\nbk\n\n");
    echo(&mut open);
    drop(silent);
}

#[test]
fn ctl_shows_answers_and_fails_when_it_is_refused() {
    let served = Served::start("level = \"operator\"");
    let shown = served.ctl(&["get", "weight", "bk/s1"]);
    assert_eq!(shown.code, Some(0));
    assert_eq!(shown.stdout, "1 (initial 1)");
    let refused = served.ctl(&["set server bk/s1 weight 2"]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(refused.stderr, "Permission denied");
    let nobody = backstop::run(&["ctl", "-s", "/does/not/exist", "show", "info"]);
    assert_eq!(nobody.code, Some(1));
    let told = nobody.stderr;
    assert!(
        told.starts_with("error: the runtime API at /does/not/exist cannot be asked"),
        "{told}"
    );
}

//! Sockets that the program is started with. Where they come from is the test: they are standard
//! input, the one descriptor that is easily given to a process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::harness::backstop::{self, Backstop};
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{wait_for, wait_until};

/// A farm whose frontend's address is listened on by us, as systemd would.
fn farm() -> (Farm, Server, TcpListener) {
    let farm = Farm::new().top("threads = 4");
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let listener = TcpListener::bind(farm.entrance()).expect("a free address");
    (farm, server, listener)
}

fn copy(listener: &TcpListener) -> Stdio {
    OwnedFd::from(listener.try_clone().expect("a descriptor")).into()
}

/// The configuration with another way to write the frontend's address.
fn with_bind(farm: &Farm, bind: &str) -> String {
    let address = farm.entrance().to_string();
    farm.config().replacen(&address, bind, 1)
}

fn echo(client: &mut TcpStream) {
    client.write_all(b"four").expect("taken");
    client.read_exact(&mut [0; 4]).expect("echoed");
}

fn session(farm: &Farm) -> TcpStream {
    let mut client = farm.connect();
    echo(&mut client);
    client
}

/// The program by a shell that makes its standard input descriptor 3, with what systemd says of it.
fn as_systemd() -> Command {
    let program = backstop::command();
    let mut command = Command::new("sh");
    command.arg("-c").arg(
        "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec 3<&0 0</dev/null; exec \"$@\"",
    );
    command.arg("sh").arg(program.get_program());
    command
}

#[test]
fn a_socket_is_found_by_its_number() {
    let (farm, _server, listener) = farm();
    let config = with_bind(&farm, "fd@0");
    let backstop = Backstop::start_with(copy(&listener), backstop::command(), &config);
    let mut clients: Vec<_> = (0..40).map(|_| session(&farm)).collect();
    // A reload leaves it and its sessions alone.
    backstop.configure(&config.replace("threads = 4", "threads = 4\nmaxconn = 99"));
    backstop.signal(Signal::HUP);
    backstop.wait_for_log("Configuration reloaded");
    clients.push(session(&farm));
    clients.iter_mut().for_each(echo);
    drop(clients);
    let sessions = backstop.wait_for_sessions(41);
    assert!(sessions.iter().all(|session| session.code == "--"));
}

/// Whoever gave the socket has it still, so nothing is refused while no process runs.
#[test]
fn a_socket_is_found_by_its_address_and_outlives_the_process() {
    let (farm, _server, listener) = farm();
    let start = || Backstop::start_with(copy(&listener), backstop::command(), &farm.config());
    let mut first = start();
    drop(session(&farm));
    first.wait_for_sessions(1);
    assert_eq!(first.stop(), Some(0));
    let mut waiting = farm.connect();
    let second = start();
    echo(&mut waiting);
    drop(waiting);
    assert_eq!(second.wait_for_sessions(1)[0].code, "--");
}

/// The next process gets it from the one before, and not from systemd.
#[test]
fn a_socket_that_systemd_names_is_handed_over() {
    let (farm, _server, listener) = farm();
    let directory = TempDir::new();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let config = format!(
        "upgrade_socket = \"{}\"\napi = {{ socket = \"{}\" }}\n{}",
        path("upgrade"),
        path("api"),
        with_bind(&farm, "fd@web")
    );
    let mut old = Backstop::start_with(copy(&listener), as_systemd(), &config);
    drop(listener);
    let mut before = session(&farm);
    old.signal(Signal::USR2);
    let own = old.pid().as_raw_nonzero().get();
    let new = wait_for("another process should answer", || {
        let info = backstop::run(&["ctl", "-s", &path("api"), "show", "info"]).stdout;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid: "))?;
        pid.parse().ok().filter(|pid| *pid != own)
    });
    echo(&mut before);
    drop(before);
    wait_until("the old process should end", || old.has_ended());
    drop(session(&farm));
    let new = Pid::from_raw(new).expect("a process");
    kill_process(new, Signal::TERM).expect("it runs");
    wait_until("the new process should end", || {
        test_kill_process(new).is_err()
    });
}

#[test]
fn the_runtime_api_takes_its_socket_too() {
    let (farm, _server, listener) = farm();
    drop(listener);
    let directory = TempDir::new();
    let path = directory.path().join("api");
    let socket = UnixListener::bind(&path).expect("a socket");
    let input = OwnedFd::from(socket.try_clone().expect("a descriptor"));
    let config = format!(
        "api = {{ socket = \"{}\" }}\n{}",
        path.display(),
        farm.config()
    );
    let mut backstop = Backstop::start_with(input, backstop::command(), &config);
    let asked = backstop::run(&["ctl", "-s", path.to_str().expect("UTF-8"), "show", "info"]);
    assert!(asked.stdout.contains("Name: "), "{asked:?}");
    assert_eq!(backstop.stop(), Some(0));
    // It is not ours to remove.
    assert!(path.exists());
}

#[test]
fn what_cannot_be_listened_on_is_told() {
    let (farm, _server, listener) = farm();
    let said = |input: Stdio, bind: &str| {
        let mut backstop = Backstop::spawn_with(input, &with_bind(&farm, bind));
        assert_eq!(backstop.wait().code(), Some(1));
        backstop.errors().join("\n")
    };
    let udp = OwnedFd::from(UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    let is_udp = said(udp.into(), "fd@0");
    assert!(is_udp.contains("descriptor 0 is a UDP socket, and no TCP socket that listens"));
    assert!(is_udp.contains("^^^^"), "{is_udp}");
    assert!(said(Stdio::null(), "fd@0").contains("descriptor 0 is no socket"));
    let other = said(copy(&listener), "fd@web");
    assert!(other.contains("no descriptor is named `web`"), "{other}");
    let there = format!("there are: 0 ({})", farm.entrance());
    assert!(other.contains(&there), "{other}");
}

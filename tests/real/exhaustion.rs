//! A machine that has run out of something: ports, room on the disk, memory.
//!
//! The proxy keeps what it has, says what is missing once and not in a storm, and recovers by
//! itself. Descriptors are in `tests/integration/limits`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use libtest_mimic::Trial;
use rustix::process::{Resource, Rlimit, prlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Socket, Type};

use crate::harness::backstop::Backstop;
use crate::harness::farm::{Farm, connect};
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{DEADLINE, wait_until};
use crate::programs::{Need, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let namespaces = [Need::Root, Need::Program("unshare"), Need::Program("ip")];
    vec![
        trial(
            "exhaustion_without_a_port_left_for_a_server",
            &namespaces,
            ports,
        ),
        trial("exhaustion_with_a_full_disk", &namespaces, disk),
        trial(
            "exhaustion_of_memory_is_not_the_clients_to_bring_about",
            &[],
            memory,
        ),
    ]
}

/// A command for the program in namespaces of its own, after `script`.
fn enclosed(namespaces: &str, script: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("{script} && exec \"$0\" \"$@\"");
    command.args([namespaces, "sh", "-c", &script]);
    command.arg(env!("CARGO_BIN_EXE_backstop"));
    command
}

fn echoes(mut stream: &TcpStream) -> bool {
    let mut seen = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut seen).is_ok() && seen == *b"x"
}

fn count(backstop: &Backstop, part: &str) -> usize {
    let log = backstop.log();
    log.iter().filter(|line| line.contains(part)).count()
}

/// Ports from which the proxy may connect.
const PORTS: u16 = 16;

/// What used to be unknown: whether a farm whose servers cannot be connected to for want of a
/// port is told from one whose servers are dead.
fn ports() {
    let last = 32_768 + PORTS - 1;
    let range = format!("echo '32768 {last}' > /proc/sys/net/ipv4/ip_local_port_range");
    let script = format!("ip link set lo up && {range}");
    let farm = Farm::new();
    let farm = farm.timeout(r#"connect = "500ms", client = "60s", server = "60s""#);
    let address = farm.next();
    let farm = farm.backend("retries = 1\n").server("s1", address, "");
    let backstop = Backstop::start_by(enclosed("--net", &script), &farm.config());
    // Sockets of other threads stay outside.
    let inside = thread::scope(|scope| {
        scope
            .spawn(|| without_ports(&farm, address, &backstop))
            .join()
    });
    inside.expect("the test inside passes");
}

fn without_ports(farm: &Farm, address: SocketAddr, backstop: &Backstop) {
    enter_network(backstop);
    let _server = Server::echo(address);
    let mut held: Vec<_> = (0..PORTS).map(|n| from_port(farm, 40_000 + n)).collect();
    assert!(
        held.iter().all(echoes),
        "as many as there are ports are served"
    );

    for number in 0..3 {
        let mut more = from_port(farm, 41_000 + number);
        // It is closed, and not kept for ever.
        assert_eq!(more.read(&mut [0]).unwrap_or(0), 0);
    }
    backstop.wait_for_log("Cannot connect to bk/s1, no local port is left for it");
    let ended = backstop.wait_for_sessions(3);
    assert!(
        ended.iter().all(|session| session.code == "RC"),
        "{ended:?}"
    );
    let told = count(backstop, "no local port is left");
    assert!(
        told <= 3,
        "{told} lines for three sessions with two attempts each"
    );
    assert!(held.iter().all(echoes), "those that are open go on");

    held.truncate(2);
    wait_until("it should serve again", || echoes(&from_port(farm, 0)));
    assert!(held.iter().all(echoes), "those that stayed go on");
}

/// Moves this thread, and those that it starts, to the network that the proxy is in.
fn enter_network(backstop: &Backstop) {
    let path = format!("/proc/{}/ns/net", backstop.pid().as_raw_nonzero());
    let network = File::open(path).expect("a network namespace");
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("root");
}

/// A connection to the frontend from outside of the range of ports; from any other if it is 0.
fn from_port(farm: &Farm, port: u16) -> TcpStream {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(42_000);
    let port = match port {
        0 => NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        port => port,
    };
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())
        .expect("a free port");
    socket
        .connect(&farm.entrance().into())
        .expect("the frontend accepts");
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    socket.into()
}

/// A disk of the proxy's own, seen from outside.
struct Disk(PathBuf);

impl Disk {
    fn of(backstop: &Backstop, path: &Path) -> Self {
        let root = format!("/proc/{}/root", backstop.pid().as_raw_nonzero());
        Self(PathBuf::from(root).join(path.strip_prefix("/").expect("an absolute path")))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).expect("room for a name");
        while filler.write_all(&[0; 512]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).expect("what was filled in");
    }
}

const LOG_FAILS: &str = "Log lines cannot be written to";
const EVENTS_FAIL: &str = "Events cannot be written to";
const STATE_FAILS: &str = "The state cannot be saved to";

/// What used to happen: events that found no room were gone.
fn disk() {
    let directory = TempDir::new();
    let disk = directory.path().join("disk");
    fs::create_dir(&disk).expect("a directory");
    let socket = directory.path().join("api");
    let at = disk.display();
    let top = format!(
        "state_file = \"{at}/state\"\nevents.file = \"{at}/events\"\napi = {{ socket = \"{}\", \
         level = \"admin\" }}\nlog.targets = [\"stdout\", {{ file = \"{at}/log\" }}]",
        socket.display()
    );
    let farm = Farm::new().top(&top);
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let script = format!("mount -t tmpfs -o size=256k backstop {at}");
    let backstop = Backstop::start_by(enclosed("--mount", &script), &farm.config());
    let disk = Disk::of(&backstop, &disk);
    let set_weight = |weight: usize| {
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        writeln!(stream, "set server bk/s1 weight {weight}").expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer.trim(), "");
    };
    set_weight(1 + 1);
    wait_until("everything should be written", || {
        [disk.read("events"), disk.read("log")]
            .iter()
            .all(|text| text.contains("weight"))
            && disk.read("state").contains("\"weight\": 2")
    });

    disk.fill();
    let mut weights = (3..200).cycle();
    wait_until("what is missing should be said", || {
        set_weight(weights.next().expect("endless"));
        assert!(echoes(&farm.connect()), "traffic goes on");
        [LOG_FAILS, EVENTS_FAIL, STATE_FAILS]
            .iter()
            .all(|part| count(&backstop, part) > 0)
    });
    for weight in 3..50 {
        set_weight(weight);
        assert!(echoes(&farm.connect()), "traffic goes on");
    }
    for part in [LOG_FAILS, EVENTS_FAIL, STATE_FAILS] {
        assert_eq!(count(&backstop, part), 1, "`{part}` is said once");
    }
    assert!(
        disk.read("state").contains("\"weight\": 2"),
        "the old state is whole"
    );

    disk.make_room();
    set_weight(77);
    wait_until("the state should be saved", || {
        disk.read("state").contains("\"weight\": 77")
    });
    backstop.wait_for_log("The state is saved to");
    backstop.wait_for_log("Events are written to");
    wait_until("the log should say what it lacks", || {
        echoes(&farm.connect()) && disk.read("log").contains("log lines were lost here.")
    });
    let numbers = numbers(&disk.read("events"));
    let wanted: Vec<_> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, wanted, "every event is in its file, in order");
}

/// Those of the whole records in a file of events.
fn numbers(text: &str) -> Vec<u64> {
    let record = |line| serde_json::from_str::<serde_json::Value>(line).ok();
    let records = text.lines().filter_map(record);
    records
        .filter_map(|record| record["number"].as_u64())
        .collect()
}

/// Sessions whose clients send and do not read.
const GREEDY: usize = 200;

/// What such sessions may take up together, beside what the process has.
const ALLOWANCE: u64 = 64 << 20;

/// What the process holds for a client is bounded, so that an address space with little room in it
/// is enough for clients that would have it hold 4 MiB each.
fn memory() {
    let farm = Farm::new().top("threads = 2");
    let server = Server::echo(farm.next());
    let farm = farm.server("s1", server.address(), "");
    let mut backstop = farm.start();
    let path = format!("/proc/{}/statm", backstop.pid().as_raw_nonzero());
    let pages = fs::read_to_string(path).expect("a running process");
    let pages: u64 = pages
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    let limit = Some(pages * rustix::param::page_size() as u64 + ALLOWANCE);
    let limit = Rlimit {
        current: limit,
        maximum: limit,
    };
    prlimit(Some(backstop.pid()), Resource::As, limit).expect("a child's limit");

    let block = vec![b'x'; 64 << 10];
    let greedy: Vec<_> = (0..GREEDY)
        .map(|_| {
            let mut stream = connect(farm.entrance()).expect("the frontend accepts");
            stream.set_nonblocking(true).expect("a socket");
            let mut sent = 0;
            while sent < 4 << 20 {
                match stream.write(&block) {
                    Ok(count) => sent += count,
                    Err(_) => break,
                }
            }
            stream
        })
        .collect();
    assert!(echoes(&farm.connect()), "others are served");
    drop(greedy);
    wait_until("it should serve again", || echoes(&farm.connect()));
    assert!(!backstop.has_ended());
}

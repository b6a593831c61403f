//! Names by dnsmasq, whose records change while sessions run.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::harness::daemon::Daemon;
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;
use crate::programs::{Need, find, trial};

const PORT: u16 = 21_500;

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Program("dnsmasq"), Need::Root];
    vec![
        trial(
            "dnsmasq::addresses_change_while_sessions_run",
            &needs,
            addresses,
        ),
        trial("dnsmasq::srv_records_are_followed", &needs, services),
    ]
}

/// A running dnsmasq that knows what a hosts file of its own says.
struct Dnsmasq {
    daemon: Daemon,
    directory: TempDir,
}

impl Dnsmasq {
    fn start(address: SocketAddr, arguments: &[String]) -> Self {
        let directory = TempDir::new();
        let hosts = directory.write("hosts", "");
        let mut command = Command::new(find("dnsmasq").expect("installed"));
        command
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--log-facility=-",
            ])
            .args([
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
                "--user=root",
            ])
            .args([
                "--local-ttl=1",
                "--domain-needed",
                "--local=/test/",
                "--pid-file=",
            ])
            .arg(format!("--listen-address={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .arg(format!("--addn-hosts={}", hosts.display()))
            .args(arguments);
        let daemon = Daemon::spawn("dnsmasq", &mut command);
        // Before that a SIGHUP would end it.
        wait_until("dnsmasq should read its hosts", || {
            daemon.stderr().iter().any(|line| line.contains("read "))
        });
        Self { daemon, directory }
    }

    /// Gives names addresses in place of those that it knows.
    fn set(&self, names: &[(&str, IpAddr)]) {
        let lines = names.iter().map(|(name, ip)| format!("{ip} {name}\n"));
        self.directory.write("hosts", &lines.collect::<String>());
        self.daemon.signal(Signal::HUP);
    }
}

struct Machine {
    server: Server,
    _loopback: Loopback,
}

impl Machine {
    fn new(name: &str) -> Self {
        let loopback = Loopback::lease();
        let server = Server::named(loopback.port(PORT), name);
        Self {
            server,
            _loopback: loopback,
        }
    }

    fn ip(&self) -> IpAddr {
        self.server.address().ip()
    }
}

fn farm(address: &str) -> (Farm, SocketAddr) {
    let farm = Farm::new();
    let names = farm.next();
    let resolve = format!(
        "resolve = {{ nameservers = \"{names}\", interval = \"200ms\", hold_valid = \"1s\", \
         hold_nx = \"0s\" }}"
    );
    let options = r#"count = 3, check = { interval = "100ms", rise = 1 }"#;
    (farm.backend(&resolve).named("web", address, options), names)
}

/// Waits until exactly these answer new sessions.
fn wait_for(farm: &Farm, machines: &[&str]) {
    wait_until(&format!("{machines:?} should answer"), || {
        let ask = || http::get(farm.entrance(), "/", "").map(|answer| answer.body);
        let answers = (0..machines.len() * 2).map(|_| ask());
        let answers = answers.map(|answer| answer.map_or(String::new(), |a| a.trim().to_owned()));
        let mut answers: Vec<_> = answers.collect();
        answers.sort();
        answers.dedup();
        answers == machines
    });
}

fn addresses() {
    let (farm, address) = farm("app.test:21500");
    let names = Dnsmasq::start(address, &[]);
    let machines = ["m1", "m2", "m3"].map(Machine::new);
    names.set(&[("app.test", machines[0].ip())]);
    let echo = Loopback::lease();
    let _echo = Server::echo(echo.port(PORT));
    let backstop = farm.start();
    wait_for(&farm, &["m1"]);
    // A session that outlives its server's address.
    let echo = echo.port(PORT).ip();
    names.set(&[("app.test", echo)]);
    backstop.wait_for_log(&format!(
        " to {echo}:{PORT}, reason: app.test has {echo} now"
    ));
    let mut session = farm.connect();
    let mut talk = |word: &[u8; 4]| {
        session.write_all(word).expect("taken");
        let mut back = [0; 4];
        session.read_exact(&mut back).expect("echoed");
        assert_eq!(&back, word);
    };
    talk(b"ping");
    names.set(&[
        ("app.test", machines[1].ip()),
        ("app.test", machines[2].ip()),
    ]);
    wait_for(&farm, &["m2", "m3"]);
    talk(b"pong");
    names.set(&[]);
    backstop.wait_for_log("app.test does not have");
    names.set(&[("app.test", machines[0].ip())]);
    wait_for(&farm, &["m1"]);
    talk(b"last");
}

fn services() {
    let name = "_http._tcp.app.test";
    let (farm, address) = farm(name);
    let record = |target: &str| format!("--srv-host={name},{target},{PORT},0,256");
    let names = Dnsmasq::start(address, &[record("one.test"), record("two.test")]);
    let machines = ["m1", "m2"].map(Machine::new);
    names.set(&[("one.test", machines[0].ip())]);
    let _backstop = farm.start();
    wait_for(&farm, &["m1"]);
    names.set(&[
        ("one.test", machines[0].ip()),
        ("two.test", machines[1].ip()),
    ]);
    wait_for(&farm, &["m1", "m2"]);
}

//! Servers whose addresses name servers say, and what happens when they say something else.

use std::net::IpAddr;
use std::path::PathBuf;

use hickory_proto::rr::RData;

use crate::harness::backstop::{self, Backstop};
use crate::harness::dns::{NameServer, Says, service};
use crate::harness::farm::Farm;
use crate::harness::http;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;
use crate::harness::temp::TempDir;
use crate::harness::wait::{wait_for, wait_until};

/// The port of all servers, which differ by their addresses.
const PORT: u16 = 21_500;

const QUICK: &str = r#"check = { interval = "50ms", rise = 1, fall = 1 }"#;

/// A name server, machines with an address each, and a farm that finds them by their name.
struct Site {
    names: NameServer,
    machines: Vec<(Loopback, Server)>,
    farm: Farm,
    socket: PathBuf,
    _directory: TempDir,
}

impl Site {
    /// `web` at `address` with these options beside `resolve`, and so many machines `m1`, `m2`, …
    fn new(machines: usize, address: &str, options: &str, resolve: &str) -> Self {
        let directory = TempDir::new();
        let socket = directory.path().join("api.sock");
        let farm = Farm::new();
        let names = NameServer::start(farm.next());
        let resolve = format!(
            "resolve = {{ nameservers = \"{}\", timeout = \"300ms\", interval = \"100ms\", \
             hold_valid = \"100ms\"{resolve} }}",
            names.address
        );
        let api = format!(
            "[api]\nsocket = \"{}\"\nlevel = \"admin\"",
            socket.display()
        );
        let farm = farm
            .top("threads = 1")
            .top(&api)
            .backend(&resolve)
            .named("web", address, options);
        let machines = (1..=machines).map(|number| {
            let loopback = Loopback::lease();
            let name = format!("m{number}");
            let server = Server::named(loopback.port(PORT), &name);
            (loopback, server)
        });
        Self {
            names,
            machines: machines.collect(),
            farm,
            socket,
            _directory: directory,
        }
    }

    fn ip(&self, number: usize) -> IpAddr {
        self.machines[number - 1].1.address().ip()
    }

    /// Gives `app.test` the addresses of these machines.
    fn set(&self, numbers: &[usize]) {
        let ips: Vec<_> = numbers.iter().map(|number| self.ip(*number)).collect();
        self.names.set("app.test", &ips);
    }

    /// Who answers new sessions, in turn.
    fn answers(&self, count: usize) -> Vec<String> {
        let ask = || http::get(self.farm.entrance(), "/", "").map(|answer| answer.body);
        let answers = (0..count).map(|_| ask().unwrap_or_else(|error| error.to_string()));
        answers.map(|answer| answer.trim().to_owned()).collect()
    }

    /// Waits until exactly these machines answer.
    fn wait_for(&self, machines: &[&str]) {
        wait_for(&format!("{machines:?} should answer"), || {
            let mut answers = self.answers(machines.len() * 2);
            answers.sort();
            answers.dedup();
            (answers == machines).then_some(())
        });
    }

    fn api(&self, words: &[&str]) -> String {
        let socket = self.socket.to_str().expect("UTF-8");
        backstop::run(&[&["ctl", "-s", socket], words].concat()).stdout
    }

    /// The columns of `show servers state` that tell of addresses: name, address, op state, admin
    /// state, weight, fqdn, port, record.
    fn places(&self) -> Vec<String> {
        let answer = self.api(&["show", "servers", "state"]);
        let servers = answer.lines().skip(2).filter(|line| !line.is_empty());
        let places = servers.map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            [3, 4, 5, 6, 7, 17, 18, 19].map(|n| words[n]).join(" ")
        });
        places.collect()
    }

    /// Waits until the name server was asked twice more, so that what it says now has counted.
    fn wait_for_questions(&self) {
        let before = self.names.asked();
        wait_until("names should be looked up", || {
            self.names.asked() >= before + 3
        });
    }
}

fn status(site: &Site, server: &str) -> String {
    site.farm.stats().row(server)["status"].clone()
}

#[test]
fn a_server_follows_its_name_and_keeps_its_address_while_nobody_answers() {
    let site = Site::new(2, "app.test:21500", QUICK, r#", hold_nx = "0s""#);
    site.set(&[1]);
    let backstop = site.farm.start();
    site.wait_for(&["m1"]);
    for says in [Says::Failure, Says::Silence, Says::Garbage] {
        site.names.say("app.test", says.clone());
        site.wait_for_questions();
        assert_eq!(site.answers(3), ["m1", "m1", "m1"], "{says:?}");
    }
    site.set(&[2, 1]);
    site.wait_for_questions();
    assert_eq!(site.answers(2), ["m1", "m1"]);
    site.set(&[2]);
    site.wait_for(&["m2"]);
    let moved = format!("Server bk/web has moved from {}:{PORT}", site.ip(1));
    backstop.wait_for_log(&moved);
    site.names.say("app.test", Says::NoName);
    let down = backstop.wait_for_log("is DOWN, reason: the name");
    assert!(
        down.contains("the name \"app.test\" does not resolve"),
        "{down}"
    );
    site.set(&[1]);
    site.wait_for(&["m1"]);
}

#[test]
fn a_name_that_nobody_knows_keeps_nothing_from_starting() {
    let site = Site::new(1, "app.test:21500", QUICK, "");
    site.names.say("app.test", Says::Silence);
    let _backstop = site.farm.start();
    site.farm.stats().wait_for_down("bk/web");
    site.set(&[1]);
    site.wait_for(&["m1"]);
}

#[test]
fn six_is_taken_where_there_is_no_four_and_long_answers_come_by_tcp() {
    let site = Site::new(1, "app.test:21500", QUICK, "");
    let v6: IpAddr = "::1".parse().unwrap();
    site.names.set("app.test", &[v6]);
    let _backstop = site.farm.start();
    let address = || site.farm.stats().row("bk/web")["addr"].clone();
    wait_until("the AAAA record should be taken", || {
        address() == "[::1]:21500"
    });
    let long = Says::Long(vec![RData::from(site.ip(1))]);
    site.names.say("app.test", long);
    site.wait_for(&["m1"]);
    assert!(site.names.asked_by_tcp() > 0);
}

#[test]
fn each_server_of_a_template_takes_another_address() {
    let site = Site::new(4, "app.test:21500", &format!("count = 3, {QUICK}"), "");
    site.set(&[1, 2]);
    let backstop = site.farm.start();
    site.wait_for(&["m1", "m2"]);
    assert_eq!(status(&site, "bk/web3"), "MAINT (resolution)");
    let places = site.places();
    assert_eq!(places[2], format!("web3 - 0 32 1 app.test {PORT} -"));
    let held: Vec<_> = places
        .iter()
        .take(2)
        .map(|place| place.split(' ').nth(1))
        .collect();
    let mut ips = [site.ip(1).to_string(), site.ip(2).to_string()];
    ips.sort();
    let mut held: Vec<_> = held.into_iter().flatten().collect();
    held.sort_unstable();
    assert_eq!(held, ips);

    site.set(&[2, 3, 1]);
    site.wait_for(&["m1", "m2", "m3"]);
    let took = format!(
        "Server bk/web3 took {}:{PORT}, reason: app.test has {} now.",
        site.ip(3),
        site.ip(3)
    );
    backstop.wait_for_log(&took);

    // One goes and another comes: only that one's server changes.
    let before = site.places();
    site.set(&[1, 3, 4]);
    site.wait_for(&["m1", "m3", "m4"]);
    let after = site.places();
    let same = before.iter().zip(&after).filter(|(a, b)| a == b).count();
    assert_eq!(same, 2, "{before:?} {after:?}");

    site.set(&[1, 2, 3, 4]);
    backstop.wait_for_log("app.test has 4 addresses for 3 servers from bk/web1 on");
    site.wait_for_questions();
    let told = |line: &String| line.contains("has 4 addresses");
    assert_eq!(backstop.log().iter().filter(|line| told(line)).count(), 1);

    site.set(&[3]);
    site.wait_for(&["m3"]);
    let gone = format!("app.test does not have {} any more", site.ip(1));
    backstop.wait_for_log(&gone);
}

#[test]
fn a_new_machine_is_known_before_it_gets_sessions() {
    let mut site = Site::new(2, "app.test:21500", &format!("count = 2, {QUICK}"), "");
    site.machines[1].1.stop();
    site.set(&[1]);
    let backstop = site.farm.start();
    site.wait_for(&["m1"]);
    site.set(&[1, 2]);
    let down = backstop.wait_for_log("Server bk/web2 is DOWN");
    assert!(down.contains("Connection refused"), "{down}");
    assert_eq!(site.answers(4), ["m1"; 4]);
    let retried = backstop
        .sessions()
        .iter()
        .any(|session| session.server == "web2");
    assert!(!retried);
    site.machines[1].1.restart();
    site.wait_for(&["m1", "m2"]);
}

#[test]
fn a_server_that_works_keeps_a_lost_address_for_hold_obsolete() {
    let resolve = r#", hold_obsolete = "1h", hold_nx = "1h""#;
    let mut site = Site::new(2, "app.test:21500", &format!("count = 1, {QUICK}"), resolve);
    site.set(&[1]);
    let _backstop = site.farm.start();
    site.wait_for(&["m1"]);
    site.set(&[2]);
    site.wait_for_questions();
    assert_eq!(site.answers(2), ["m1", "m1"]);
    site.names.say("app.test", Says::NoName);
    site.wait_for_questions();
    assert_eq!(site.answers(2), ["m1", "m1"]);
    site.set(&[2]);
    site.machines[0].1.stop();
    site.wait_for(&["m2"]);
}

#[test]
fn srv_records_say_port_and_weight() {
    let site = Site::new(2, "_http._tcp.app.test", &format!("count = 3, {QUICK}"), "");
    site.names.set("one.test", &[site.ip(1)]);
    site.names.set("two.test", &[site.ip(2)]);
    let records = |weight| {
        vec![
            service(weight, PORT, "one.test."),
            service(256, PORT, "two.test."),
            service(1, 0, "two.test."),
            service(1, PORT, "."),
        ]
    };
    let name = "_http._tcp.app.test";
    site.names.say(name, Says::Records(records(65_535), 0));
    let backstop = site.farm.start();
    site.wait_for(&["m1", "m2"]);
    let places = site.places();
    let ip = site.ip(1);
    let first = format!("{ip} 2 0 256 one.test {PORT} {name}");
    assert!(
        places.iter().any(|place| place.ends_with(&first)),
        "{places:?}"
    );
    assert!(
        places[2].starts_with("web3 - 0 32 1 - 0 _http"),
        "{places:?}"
    );
    // A weight of 0 is respected.
    site.names.say(name, Says::Records(records(0), 1 << 31));
    backstop.wait_for_log("has weight 0 in place of 256, reason: _http._tcp.app.test says so.");
    assert_eq!(site.answers(4), ["m2"; 4]);
}

#[test]
fn the_operators_address_stays_and_a_reload_keeps_those_of_names() {
    let site = Site::new(3, "app.test:21500", &format!("count = 3, {QUICK}"), "");
    site.set(&[1]);
    let backstop = site.farm.start();
    site.wait_for(&["m1"]);
    let ip = site.ip(3).to_string();
    let said = site.api(&["set", "server", "bk/web3", "addr", &ip]);
    assert!(
        said.contains(&format!("IP changed from '' to '{ip}'")),
        "{said}"
    );
    site.wait_for(&["m1", "m3"]);
    site.set(&[2, 1, 3]);
    site.wait_for(&["m1", "m2", "m3"]);
    let before = site.places();
    // Nobody answers while the configuration changes.
    site.names.say("app.test", Says::Silence);
    backstop.configure(
        &site
            .farm
            .config()
            .replace("count = 3", "count = 4, weight = 2"),
    );
    let told = site.api(&["reload"]);
    assert!(told.starts_with("Reloaded."), "{told}");
    let after = site.places();
    assert_eq!(after.len(), 4);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.split(' ').nth(1), after.split(' ').nth(1));
    }
    assert_eq!(status(&site, "bk/web4"), "MAINT (resolution)");
    site.wait_for(&["m1", "m2", "m3"]);
}

#[test]
fn a_template_that_a_reload_brings_is_known_before_its_first_session() {
    let site = Site::new(2, "app.test:21500", &format!("count = 2, {QUICK}"), "");
    site.set(&[1, 2]);
    let config = site.farm.config();
    let other = Server::named(site.farm.next(), "old");
    let first = config.replace("app.test:21500", &other.address().to_string());
    let backstop = Backstop::start(&first.replace("count = 2, ", ""));
    site.wait_for(&["old"]);
    backstop.configure(&config);
    let told = site.api(&["reload"]);
    assert!(told.starts_with("Reloaded."), "{told}");
    let mut answers = site.answers(2);
    answers.sort();
    assert_eq!(answers, ["m1", "m2"]);
}

//! Algorithms beside `HAProxy`'s on the same servers: where its order is defined, both choose alike.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use libtest_mimic::Trial;

use crate::harness::backstop::Backstop;
use crate::harness::farm::connect;
use crate::harness::haproxy::Haproxy;
use crate::harness::loopback::Loopback;
use crate::harness::server::Server;
use crate::harness::stats::Stats;
use crate::harness::wait::wait_until;
use crate::programs::{Need, trial};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let haproxy = &[Need::Program("haproxy")];
    [
        trial(
            "balance::leastconn_on_an_idle_farm",
            haproxy,
            leastconn_on_an_idle_farm,
        ),
        trial(
            "balance::leastconn_under_load",
            haproxy,
            leastconn_under_load,
        ),
        trial("balance::leastconn_by_weight", haproxy, leastconn_by_weight),
        trial(
            "balance::leastconn_on_backups",
            haproxy,
            leastconn_on_backups,
        ),
        trial("balance::first_fills_up", haproxy, first_fills_up),
        trial(
            "balance::source_keeps_a_client",
            haproxy,
            source_keeps_a_client,
        ),
    ]
    .into_iter()
}

/// What both are configured with: a word of `balance`, whether `allbackups`, and of each server its
/// options in HAProxy's words and in those of Backstop.
struct Farm<'a> {
    balance: &'a str,
    allbackups: bool,
    servers: &'a [(&'a str, &'a str)],
}

/// One of the two with its servers' sessions.
struct Side {
    name: &'static str,
    entrance: SocketAddr,
    stats: Stats,
    open: Vec<(char, TcpStream)>,
}

impl Farm<'_> {
    /// Plays the same on `HAProxy` and on Backstop, and gives what each answered.
    fn both(&self, play: impl Fn(&mut Side) -> String) {
        let loopback = Loopback::lease();
        let servers: Vec<_> = (b'a'..)
            .zip(self.servers)
            .map(|(name, _)| greeter(loopback.next(), name))
            .collect();
        let side = |name, entrance, stats| Side {
            name,
            entrance: loopback.port(entrance),
            stats: Stats::at(loopback.port(stats)),
            open: Vec::new(),
        };
        let mut haproxy = side("HAProxy", 20_081, 20_711);
        let _haproxy = Haproxy::start(
            &self.haproxy(&haproxy, &servers),
            Stats::at(haproxy.stats.address),
        );
        let mut backstop = side("Backstop", 20_082, 20_712);
        let _backstop = Backstop::start(&self.backstop(&backstop, &servers));
        assert_eq!(play(&mut backstop), play(&mut haproxy), "Backstop, HAProxy");
    }

    fn haproxy(&self, side: &Side, servers: &[Server]) -> String {
        let mut text = format!(
            "defaults\n mode tcp\n timeout connect 1s\n timeout client 9s\n timeout server 9s\n \
             timeout queue 9s\nfrontend ft\n bind {}\n default_backend bk\nfrontend stats\n \
             mode http\n bind {}\n stats enable\n stats uri /\n stats auth {}\n\
             backend bk\n balance {}\n",
            side.entrance, side.stats.address, side.stats.auth, self.balance
        );
        if self.balance == "source" {
            text += " hash-type consistent\n";
        }
        if self.allbackups {
            text += " option allbackups\n";
        }
        for ((number, server), (options, _)) in (1..).zip(servers).zip(self.servers) {
            let _ = writeln!(text, " server s{number} {} {options}", server.address());
        }
        text
    }

    fn backstop(&self, side: &Side, servers: &[Server]) -> String {
        let mut text = format!(
            "[stats]\nbind = \"{}\"\nauth = \"{}\"\n[defaults]\ntimeout = {{ connect = \"1s\", \
             client = \"9s\", server = \"9s\" }}\n[frontends.ft]\nbind = \"{}\"\n\
             default_backend = \"bk\"\n[backends.bk]\nbalance = \"{}\"\nallbackups = {}\n\
             servers = [\n",
            side.stats.address, side.stats.auth, side.entrance, self.balance, self.allbackups
        );
        for ((number, server), (_, options)) in (1..).zip(servers).zip(self.servers) {
            let _ = writeln!(
                text,
                "{{ name = \"s{number}\", address = \"{}\", {options} }},",
                server.address()
            );
        }
        text + "]\n"
    }
}

/// A server that says its name to whoever connects, and nothing more until the client has ended.
fn greeter(address: SocketAddr, name: u8) -> Server {
    Server::start(address, move |mut stream| {
        let _ = stream.write_all(&[name]);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

impl Side {
    /// Has so many more clients come, one after another, and stay. Their servers.
    fn come(&mut self, clients: usize) -> String {
        (0..clients).map(|_| self.comes()).collect()
    }

    fn comes(&mut self) -> char {
        let mut stream = connect(self.entrance).expect("it accepts");
        let mut name = [0];
        stream.read_exact(&mut name).expect("a greeting");
        let name = char::from(name[0]);
        self.open.push((name, stream));
        self.wait();
        name
    }

    /// Has the client go that came `index`th of those that are there.
    fn goes(&mut self, index: usize) {
        let (_, stream) = self.open.remove(index);
        let _ = stream.shutdown(Shutdown::Both);
        drop(stream);
        self.wait();
    }

    /// Waits until it counts the clients that are there.
    fn wait(&self) {
        wait_until("sessions should be counted", || {
            let rows = self.stats.rows().unwrap_or_default();
            let servers = rows
                .iter()
                .filter(|row| row["pxname"] == "bk" && row["type"] == "2");
            let open: usize = servers
                .map(|row| row["scur"].parse::<usize>().unwrap())
                .sum();
            open == self.open.len()
        });
    }

    /// Has so many clients come and go one after another. Their servers.
    fn pass(&mut self, clients: usize) -> String {
        let pass = |_| {
            let name = self.comes();
            self.goes(self.open.len() - 1);
            name
        };
        (0..clients).map(pass).collect()
    }
}

fn sorted(names: &str) -> String {
    let mut names: Vec<_> = names.chars().collect();
    names.sort_unstable();
    names.into_iter().collect()
}

const WEIGHTS: [(&str, &str); 3] = [
    ("weight 1", "weight = 1"),
    ("weight 3", "weight = 3"),
    ("weight 2", "weight = 2"),
];

fn leastconn_on_an_idle_farm() {
    let farm = Farm {
        balance: "leastconn",
        allbackups: false,
        servers: &WEIGHTS,
    };
    farm.both(|side| {
        let names = side.pass(7);
        assert_eq!(names, "abcabca", "{}", side.name);
        names
    });
}

fn leastconn_under_load() {
    let farm = Farm {
        balance: "leastconn",
        allbackups: false,
        servers: &[("", "weight = 1"); 3],
    };
    farm.both(|side| {
        let mut names = side.come(6);
        // The second client of each of two servers goes.
        side.goes(4);
        names += &side.come(1);
        side.goes(0);
        names += &side.come(1);
        // Among equals each has an order of its own.
        names += &sorted(&side.come(3));
        names
    });
}

fn leastconn_by_weight() {
    let farm = Farm {
        balance: "leastconn",
        allbackups: false,
        servers: &WEIGHTS,
    };
    farm.both(|side| sorted(&side.come(24)));
}

fn leastconn_on_backups() {
    let servers = [
        ("weight 0", "weight = 0"),
        ("backup", "backup = true"),
        ("backup", "backup = true"),
    ];
    for allbackups in [false, true] {
        let farm = Farm {
            balance: "leastconn",
            allbackups,
            servers: &servers,
        };
        farm.both(|side| side.come(4) + &side.pass(2));
    }
}

fn first_fills_up() {
    let farm = Farm {
        balance: "first",
        allbackups: false,
        servers: &[("maxconn 2", "maxconn = 2"); 3],
    };
    farm.both(|side| {
        let mut names = side.come(5);
        side.goes(2);
        names += &side.come(1);
        side.goes(0);
        names += &side.come(2);
        assert_eq!(names, "aabbcbac", "{}", side.name);
        names
    });
}

fn source_keeps_a_client() {
    let farm = Farm {
        balance: "source",
        allbackups: false,
        servers: &[("", "weight = 1"); 5],
    };
    // Which server that is differs.
    farm.both(|side| {
        let names = side.come(3) + &side.pass(3);
        let first = &names[..1];
        names.replace(first, "x")
    });
}

//! The four failover scenarios, and the way through them.
//!
//! A scenario is a configuration and what `curl` prints after each stop or start of servers. The
//! servers stopped and the names printed are those of the published walk through HAProxy's
//! failover settings that the configurations come from; what follows the first start of a
//! stopped server is Backstop's own addition.

use std::net::SocketAddr;

use super::loopback::Loopback;
use super::stats::Stats;

/// One step of a scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// `curl` prints these servers' numbers, one request after the other.
    Curl(&'static [usize]),
    /// `curl` prints each of these servers' numbers once, and then all again in the same order.
    /// Where in the order a server that came back stands is nowhere promised.
    Turns(&'static [usize]),
    /// These servers are stopped, one after the other.
    Stop(&'static [usize]),
    /// These servers are started, one after the other.
    Start(&'static [usize]),
}

use Step::{Curl, Start, Stop, Turns};

/// A configuration with what is to be seen of it.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// The file in `configs/`, without `.toml`.
    pub(crate) name: &'static str,
    pub(crate) config: &'static str,
    pub(crate) steps: &'static [Step],
}

impl Scenario {
    /// How many servers the configuration names.
    pub(crate) fn servers(&self) -> usize {
        self.config.matches("address = ").count()
    }
}

/// Servers 3 and 4 are backups, and one of them at a time is used.
pub(crate) const BACKUP_SERVER: Scenario = Scenario {
    name: "backup-server",
    config: include_str!("../../configs/backup-server.toml"),
    steps: &[
        Curl(&[1, 2, 1, 2]),
        Stop(&[1]),
        Curl(&[2, 2]),
        Stop(&[2]),
        Curl(&[3, 3]),
        Stop(&[3]),
        Curl(&[4]),
        Start(&[3]),
        Curl(&[3, 3]),
        Start(&[2]),
        Curl(&[2, 2]),
        Start(&[1]),
        Turns(&[1, 2]),
    ],
};

/// Servers 3 and 4 are backups, and both are used.
pub(crate) const MULTIPLE_BACKUP_SERVERS: Scenario = Scenario {
    name: "multiple-backup-servers",
    config: include_str!("../../configs/multiple-backup-servers.toml"),
    steps: &[
        Stop(&[1, 2]),
        Curl(&[3, 4, 3, 4]),
        Start(&[2]),
        Curl(&[2, 2]),
        Start(&[1]),
        Turns(&[1, 2]),
    ],
};

/// Servers 5 to 8 are a farm for when at most two servers of the first farm are left.
pub(crate) const FARM_FAILOVER: Scenario = Scenario {
    name: "farm-failover",
    config: include_str!("../../configs/farm-failover.toml"),
    steps: &[
        Curl(&[1, 2, 3, 4, 1, 2, 3, 4]),
        Stop(&[1, 2]),
        Curl(&[5, 6, 7, 8, 5, 6, 7, 8]),
        Start(&[1]),
        Turns(&[1, 3, 4]),
        Start(&[2]),
        Turns(&[1, 2, 3, 4]),
    ],
};

/// The second farm has backups of its own.
pub(crate) const FARM_FAILOVER_BACKUP_SERVERS: Scenario = Scenario {
    name: "farm-failover-backup-servers",
    config: include_str!("../../configs/farm-failover-backup-servers.toml"),
    steps: &[
        Curl(&[1, 2, 3, 4, 1, 2, 3, 4]),
        Stop(&[1, 2]),
        Curl(&[5, 6, 5, 6]),
        Stop(&[5, 6]),
        Curl(&[7, 8, 7, 8]),
        Start(&[5, 6]),
        Turns(&[5, 6]),
        Start(&[1, 2]),
        Turns(&[1, 2, 3, 4]),
    ],
};

/// A server that can be stopped and started again.
pub(crate) trait Stoppable {
    fn stop(&mut self);
    fn start(&mut self);
}

impl Stoppable for super::server::Server {
    fn stop(&mut self) {
        self.stop();
    }

    fn start(&mut self) {
        self.restart();
    }
}

impl Stoppable for super::nginx::Nginx {
    fn stop(&mut self) {
        self.stop();
    }

    fn start(&mut self) {
        self.restart();
    }
}

/// Where everything listens instead of on the ports of the configurations.
#[derive(Debug)]
pub(crate) struct Site(Loopback);

impl Site {
    pub(crate) fn new() -> Self {
        Self(Loopback::lease())
    }

    /// Server `number`, counted from 1.
    pub(crate) fn server(&self, number: usize) -> SocketAddr {
        self.0.port(20_100 + number as u16)
    }

    /// The entrance of the proxy called `proxy`.
    pub(crate) fn entrance(&self, proxy: &str) -> Entrance {
        // One port range a proxy, so that two can stand side by side.
        let base = if proxy == "Backstop" { 20_200 } else { 20_300 };
        Entrance {
            name: proxy.to_owned(),
            address: self.0.port(base + 81),
            stats: Stats::at(self.0.port(base + 11)),
        }
    }

    /// `config` with the site's addresses for its own. Nothing else in it changes.
    pub(crate) fn readdress(&self, config: &str, entrance: &Entrance) -> String {
        let mut text = config
            .replace("0.0.0.0:8711", &entrance.stats.address.to_string())
            .replace("0.0.0.0:81", &entrance.address.to_string());
        for number in 1..=8 {
            let from = format!("nginx-{number}:81");
            text = text.replace(&from, &self.server(number).to_string());
        }
        text
    }
}

/// A proxy as its users see it.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// Its proxy's.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) stats: Stats,
}

/// Goes through the scenario: every proxy prints what the scenario says at every step.
///
/// `servers` are those that the configuration names, in order, and run. After a stop or a start
/// the checks of every proxy must have noticed it before the next step, as in the walk.
pub(crate) fn play<S: Stoppable>(
    scenario: &Scenario,
    servers: &mut [S],
    proxies: &[Entrance],
    curl: impl Fn(SocketAddr) -> String,
) {
    let all: Vec<usize> = (1..=scenario.servers()).collect();
    // Until its first check has passed, one failed check takes a server down.
    await_status(proxies, &all, Stats::wait_for_check);
    for (position, step) in scenario.steps.iter().enumerate() {
        match *step {
            Curl(_) | Turns(_) => {
                for proxy in proxies {
                    let place = format!("{}, step {position}, {}", scenario.name, proxy.name);
                    look(step, &place, || curl(proxy.address));
                }
            }
            Stop(numbers) => {
                for number in numbers {
                    servers[number - 1].stop();
                }
                await_status(proxies, numbers, Stats::wait_for_down);
            }
            Start(numbers) => {
                for number in numbers {
                    servers[number - 1].start();
                }
                await_status(proxies, numbers, Stats::wait_for_up);
            }
        }
    }
}

fn await_status(proxies: &[Entrance], numbers: &[usize], wait: fn(&Stats, &str)) {
    for proxy in proxies {
        for number in numbers {
            wait(&proxy.stats, &format!("nginx{number}"));
        }
    }
}

/// Compares what `curl` prints with what the step says.
fn look(step: &Step, place: &str, curl: impl Fn() -> String) {
    let ask = |count| -> Vec<String> { (0..count).map(|_| curl()).collect() };
    match *step {
        Curl(wanted) => assert_eq!(ask(wanted.len()), printed(wanted), "{place}"),
        Turns(wanted) => {
            let first = ask(wanted.len());
            assert_eq!(ask(wanted.len()), first, "second turn, {place}");
            let mut sorted = first;
            sorted.sort();
            assert_eq!(sorted, printed(wanted), "{place}");
        }
        Stop(_) | Start(_) => {}
    }
}

fn printed(numbers: &[usize]) -> Vec<String> {
    let print = |number| format!("nginx-{number}\n");
    numbers.iter().map(print).collect()
}

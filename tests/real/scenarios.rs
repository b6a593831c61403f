//! The four failover scenarios on eight nginx processes, once with Backstop alone and once with
//! HAProxy beside it on the same servers, printing the same.

use std::net::SocketAddr;
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::backstop::Backstop;
use crate::harness::haproxy::Haproxy;
use crate::harness::nginx::Nginx;
use crate::harness::scenario::{self, Scenario, Site};
use crate::programs::{Need, trial};

const NGINX: &[Need] = &[Need::Program("nginx"), Need::Program("curl")];
const HAPROXY: &[Need] = &[
    Need::Program("nginx"),
    Need::Program("curl"),
    Need::Program("haproxy"),
];

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [
        trial("nginx::backup_server", NGINX, || {
            alone(&scenario::BACKUP_SERVER);
        }),
        trial("nginx::multiple_backup_servers", NGINX, || {
            alone(&scenario::MULTIPLE_BACKUP_SERVERS);
        }),
        trial("nginx::farm_failover", NGINX, || {
            alone(&scenario::FARM_FAILOVER);
        }),
        trial("nginx::farm_failover_backup_servers", NGINX, || {
            alone(&scenario::FARM_FAILOVER_BACKUP_SERVERS);
        }),
        trial("haproxy::backup_server", HAPROXY, || {
            beside_haproxy(
                &scenario::BACKUP_SERVER,
                include_str!("haproxy/backup-server.cfg"),
            );
        }),
        trial("haproxy::multiple_backup_servers", HAPROXY, || {
            beside_haproxy(
                &scenario::MULTIPLE_BACKUP_SERVERS,
                include_str!("haproxy/multiple-backup-servers.cfg"),
            );
        }),
        trial("haproxy::farm_failover", HAPROXY, || {
            beside_haproxy(
                &scenario::FARM_FAILOVER,
                include_str!("haproxy/farm-failover.cfg"),
            );
        }),
        trial("haproxy::farm_failover_backup_servers", HAPROXY, || {
            beside_haproxy(
                &scenario::FARM_FAILOVER_BACKUP_SERVERS,
                include_str!("haproxy/farm-failover-backup-servers.cfg"),
            );
        }),
    ]
    .into_iter()
}

fn alone(scenario: &Scenario) {
    let site = Site::new();
    let mut servers = servers(&site);
    let entrance = site.entrance("Backstop");
    let mut backstop = Backstop::start(&site.readdress(scenario.config, &entrance));
    scenario::play(scenario, &mut servers, &[entrance], curl);
    assert_eq!(backstop.stop(), Some(0));
}

fn beside_haproxy(scenario: &Scenario, config: &str) {
    let site = Site::new();
    let mut servers = servers(&site);
    let entrances = [site.entrance("Backstop"), site.entrance("HAProxy")];
    let [backstop, haproxy] = &entrances;
    let _haproxy = Haproxy::start(&site.readdress(config, haproxy), haproxy.stats);
    let mut backstop = Backstop::start(&site.readdress(scenario.config, backstop));
    scenario::play(scenario, &mut servers, &entrances, curl);
    assert_eq!(backstop.stop(), Some(0));
}

/// All eight, although two of the scenarios name four only.
fn servers(site: &Site) -> Vec<Nginx> {
    let start = |number| Nginx::start(&format!("nginx-{number}"), site.server(number));
    (1..=8).map(start).collect()
}

/// What the real `curl` prints.
fn curl(address: SocketAddr) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "10"]);
    let output = command.arg(format!("http://{address}/")).output();
    let output = output.expect("curl runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl failed: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

//! The four failover scenarios on servers inside the test process, with the configurations of
//! `configs/` only re-addressed.

use crate::harness::backstop::Backstop;
use crate::harness::http;
use crate::harness::scenario::{self, Scenario, Site};
use crate::harness::server::Server;

#[test]
fn backup_server() {
    play(&scenario::BACKUP_SERVER);
}

#[test]
fn multiple_backup_servers() {
    play(&scenario::MULTIPLE_BACKUP_SERVERS);
}

#[test]
fn farm_failover() {
    play(&scenario::FARM_FAILOVER);
}

#[test]
fn farm_failover_backup_servers() {
    play(&scenario::FARM_FAILOVER_BACKUP_SERVERS);
}

fn play(scenario: &Scenario) {
    let site = Site::new();
    let mut servers: Vec<_> = (1..=scenario.servers())
        .map(|number| Server::named(site.server(number), &format!("nginx-{number}")))
        .collect();
    let entrance = site.entrance("Backstop");
    let mut backstop = Backstop::start(&site.readdress(scenario.config, &entrance));
    scenario::play(scenario, &mut servers, &[entrance], |address| {
        http::curl(address).expect("no request fails")
    });
    assert_eq!(backstop.stop(), Some(0));
}

//! The demos of nginx servers: the walk of its README, what Docker says of it, and how it stops.

use std::net::SocketAddr;
use std::time::Instant;

use libtest_mimic::Trial;

use crate::engine::trial;
use crate::harness::http;
use crate::harness::scenario::{
    self, BACKUP_SERVER, Entrance, FARM_FAILOVER, FARM_FAILOVER_BACKUP_SERVERS,
    MULTIPLE_BACKUP_SERVERS, Scenario, Stoppable,
};
use crate::harness::stats::Stats;
use crate::harness::wait::wait_until;
use crate::project::{Project, SHORT, Stranger, curl, local};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [
        trial("demo::backup_server", || walk(&BACKUP_SERVER, 1)),
        trial("demo::multiple_backup_servers", || {
            walk(&MULTIPLE_BACKUP_SERVERS, 2);
        }),
        trial("demo::farm_failover", || walk(&FARM_FAILOVER, 3)),
        trial("demo::farm_failover_backup_servers", || {
            walk(&FARM_FAILOVER_BACKUP_SERVERS, 4);
        }),
    ]
    .into_iter()
}

fn walk(scenario: &Scenario, number: u16) {
    let project = Project::up(scenario.name);
    let entrance = Entrance {
        name: "Backstop".into(),
        address: local(8180 + number),
        stats: Stats::at(local(8710 + number)),
    };
    wait_until("the stats page should answer", || {
        entrance.stats.rows().is_ok()
    });
    let mut servers = project.servers(scenario.servers());
    let entrances = [entrance];
    scenario::play(scenario, &mut servers, &entrances, curl);
    let [entrance] = &entrances;
    is_protected(entrance.stats.address);
    project.is_healthy("backstop");
    if scenario.name == BACKUP_SERVER.name {
        moves(&project, entrance);
    }
    project.stops("backstop");
}

fn is_protected(stats: SocketAddr) {
    assert_eq!(http::get(stats, "/", "").unwrap().status, 401);
    let wrong = "Authorization: Basic YWRtaW46d3Jvbmc=\r\n";
    assert_eq!(http::get(stats, "/", wrong).unwrap().status, 401);
    let right = "Authorization: Basic YWRtaW46YWRtaW4=\r\n";
    let page = http::get(stats, "/", right).unwrap();
    assert_eq!(page.status, 200);
    assert!(page.body.contains("bk-app-main"), "{}", page.body);
}

/// A server that comes back at another address is found there, and whoever has its old address
/// now gets nothing.
fn moves(project: &Project, entrance: &Entrance) {
    let old = project.address("nginx-1");
    let [mut server] = <[_; 1]>::try_from(project.servers(1)).unwrap();
    server.stop();
    entrance.stats.wait_for_down("nginx1");
    let strangers: Vec<_> = (0..8)
        .map(|_| Stranger::start(project, "stranger"))
        .collect();
    assert!(strangers.iter().any(|stranger| stranger.address() == old));
    let watched = Instant::now() + SHORT;
    while Instant::now() < watched {
        assert_eq!(curl(entrance.address), "nginx-2\n");
    }
    server.start();
    assert_ne!(project.address("nginx-1"), old);
    entrance.stats.wait_for_up("nginx1");
    let mut seen: Vec<_> = (0..4).map(|_| curl(entrance.address)).collect();
    seen.sort();
    assert_eq!(seen, ["nginx-1\n", "nginx-1\n", "nginx-2\n", "nginx-2\n"]);
}

//! The demo of a redis primary, its replica and the hook.

use libtest_mimic::Trial;

use crate::engine::trial;
use crate::harness::redis::Client;
use crate::harness::stats::Stats;
use crate::harness::wait::wait_until;
use crate::project::{Project, local};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [trial("demo::redis_failover", redis_failover)].into_iter()
}

fn stats() -> Stats {
    Stats::at(local(8715))
}

fn redis_failover() {
    let project = Project::up("redis-failover");
    wait_until("the stats page should answer", || stats().rows().is_ok());
    stats().wait_for_up("redis1");
    stats().wait_for_down("redis2");
    project.walk(|project, line| match line {
        "docker compose stop redis-1" => takes_over("redis1", "redis2"),
        "docker compose stop redis-2" => takes_over("redis2", "redis1"),
        "docker compose start redis-1" => follows(project, "redis-1"),
        "docker compose start redis-2" => follows(project, "redis-2"),
        _ => {}
    });
    let mut client = Client::connect(local(8185)).unwrap();
    assert_eq!(client.ask(&["GET", "colour"]).unwrap(), "red");
    drop(client);
    project.is_healthy("backstop");
    project.stops("backstop");
}

fn takes_over(old: &str, new: &str) {
    stats().wait_for_down(old);
    stats().wait_for_up(new);
}

/// Waits until a server has the data of the other one, and gets no sessions.
fn follows(project: &Project, server: &str) {
    let ask = format!("docker compose exec -T {server} redis-cli INFO replication");
    wait_until("an old master should follow the new one", || {
        let told = project.type_in(&ask);
        told.contains("role:slave") && told.contains("master_link_status:up")
    });
    stats().wait_for_down(&server.replace('-', ""));
}

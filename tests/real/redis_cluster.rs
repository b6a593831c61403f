//! A real Redis Cluster behind the proxy as its entry point.

use std::collections::BTreeSet;

use libtest_mimic::Trial;

use crate::harness::farm::Farm;
use crate::harness::redis::{Client, Redis, form_cluster};
use crate::harness::wait::wait_for;
use crate::programs::{Need, trial};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let needs = &[Need::Program("redis-server"), Need::Program("redis-cli")];
    [trial(
        "redis_cluster::nodes_whose_cluster_is_not_well_are_passed_over",
        needs,
        nodes_whose_cluster_is_not_well_are_passed_over,
    )]
    .into_iter()
}

fn nodes_whose_cluster_is_not_well_are_passed_over() {
    let mut farm = Farm::new().backend(
        r#"check = { type = "redis", cluster = true, interval = "200ms", timeout = "1s" }"#,
    );
    let mut nodes: Vec<_> = (0..6).map(|_| Redis::cluster_node(farm.next())).collect();
    form_cluster(&nodes);
    for (node, number) in nodes.iter().zip(1..) {
        farm = farm.server(&format!("node{number}"), node.address(), "check = true");
    }
    let _backstop = farm.start();
    let ids: Vec<_> = nodes.iter().map(id).collect();
    assert_eq!(entered(&farm, 12), ids.iter().cloned().collect());

    // A replica that has lost its cluster: it answers, but can serve nothing.
    let lost = 5;
    let its_master = master_of(&nodes[lost]).expect("the last node is a replica");
    assert_eq!(nodes[lost].tell(&["CLUSTER", "RESET", "SOFT"]), "OK");
    wait_for("the lost node should be passed over", || {
        let row = farm.stats().row("node6");
        (row["status"].starts_with("DOWN") && row["check_status"] == "L7STS").then_some(())
    });
    let mut left: BTreeSet<_> = ids.iter().cloned().collect();
    left.remove(&ids[lost]);
    assert_eq!(entered(&farm, 10), left);

    // A master that dies: its replica takes over, and with it the cluster is well again.
    let victim = (0..3).find(|&number| ids[number] != its_master);
    let victim = victim.expect("three masters");
    nodes[victim].kill();
    left.remove(&ids[victim]);
    wait_for(
        "the cluster should find its master dead and then be well",
        || {
            let mut alive = (0..5).filter(|&number| number != victim);
            alive
                .all(|number| promoted(&nodes[number], &ids[victim]))
                .then_some(())
        },
    );
    for number in (0..5).filter(|&number| number != victim) {
        farm.stats().wait_for_up(&format!("node{}", number + 1));
    }
    farm.stats().wait_for_down(&format!("node{}", victim + 1));
    assert_eq!(entered(&farm, 8), left);
    let mut client = Client::connect(farm.entrance()).expect("the proxy accepts");
    let state = client.ask(&["CLUSTER", "INFO"]).expect("an answer");
    assert!(state.contains("cluster_state:ok"), "{state}");
}

/// Whom so many connections through the proxy lead to.
fn entered(farm: &Farm, connections: usize) -> BTreeSet<String> {
    let enter = |_| {
        let mut client = Client::connect(farm.entrance()).expect("the proxy accepts");
        client.ask(&["CLUSTER", "MYID"]).expect("an answer")
    };
    (0..connections).map(enter).collect()
}

fn id(node: &Redis) -> String {
    node.tell(&["CLUSTER", "MYID"])
}

/// The id of the node that this one is a replica of, if it is one.
fn master_of(node: &Redis) -> Option<String> {
    let nodes = node.tell(&["CLUSTER", "NODES"]);
    let own = nodes.lines().find(|line| line.contains("myself"));
    let master = own.and_then(|line| line.split(' ').nth(3));
    master.filter(|id| *id != "-").map(str::to_owned)
}

/// Whether the cluster as `node` sees it is well again without `dead`.
fn promoted(node: &Redis, dead: &str) -> bool {
    let nodes = node.tell(&["CLUSTER", "NODES"]);
    let failed = |line: &str| line.starts_with(dead) && line.contains("master,fail ");
    nodes.lines().any(failed) && node.tell(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
}

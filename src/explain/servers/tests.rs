//! Which servers are used and why, in words.

use super::*;
use crate::config::policy::PreferredZone;
use crate::config::{BackendConfig, ServerConfig};
use crate::topology::Topology;
use crate::topology::sample::{NOBODY, backend, server, single_farm, take_down, with_backend};
use crate::topology::status::{Hold, HoldReason};

fn why_not(topology: &Topology) -> Vec<Option<String>> {
    let backend = &topology.backends[0];
    (0..backend.servers.len() as u32)
        .map(|position| passed_over(backend, position, topology.started))
        .collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    let text = |text: &&str| (!text.is_empty()).then(|| (*text).to_owned());
    texts.iter().map(text).collect()
}

fn tiered(min_up: &[u32]) -> BackendConfig {
    let servers = [0, 0, 1, 1, 2]
        .iter()
        .zip(1..)
        .map(|(&tier, n)| ServerConfig {
            tier,
            ..server(&format!("s{n}"), n, false)
        });
    let mut backend = backend("bk", false, servers.collect());
    backend.failover.min_up = min_up.to_vec();
    backend
}

#[test]
fn backups_wait_for_the_primaries_and_for_each_other() {
    let topology = single_farm(false);
    let waits = "backup, used when no primary is usable";
    assert_eq!(why_not(&topology), some(&["", "", waits, waits]));
    take_down(&topology, 0, 0);
    take_down(&topology, 0, 1);
    let second = "backup, s3 comes first";
    assert_eq!(why_not(&topology), some(&["down", "down", "", second]));
}

#[test]
fn attempts_go_from_server_to_server_and_end_on_a_backup() {
    let topology = single_farm(false);
    assert_eq!(attempts(&topology.backends[0], NOBODY), [0, 1, 2, 3]);
    let topology = single_farm(false);
    assert_eq!(next_sessions(&topology.backends[0], NOBODY, 3), [0, 1, 0]);
}

#[test]
fn a_last_attempt_is_kept_for_a_backup() {
    let servers = (1..=7).map(|n| server(&format!("s{n}"), n, n > 6));
    let topology = with_backend(backend("bk", false, servers.collect()));
    assert_eq!(attempts(&topology.backends[0], NOBODY), [0, 1, 2, 6]);
}

#[test]
fn tiers_say_what_they_lack() {
    let topology = with_backend(tiered(&[2, 2]));
    let backend = &topology.backends[0];
    assert_eq!(servers_in_use(backend), "tier 0, 2 of 2 servers");
    take_down(&topology, 0, 0);
    assert_eq!(
        servers_in_use(backend),
        "tier 0 has 1 of the 2 that it needs, tier 1, 2 of 2 servers"
    );
    assert_eq!(
        why_not(&topology),
        some(&[
            "down",
            "tier 0, 1 usable, min_up is 2",
            "",
            "",
            "tier 2, tier 1 has enough servers",
        ])
    );
}

#[test]
fn too_few_primaries_are_not_called_none() {
    let servers = (1..=3).map(|n| server(&format!("s{n}"), n, n > 2));
    let mut config = backend("bk", false, servers.collect());
    config.failover.min_up = vec![2];
    let topology = with_backend(config);
    assert_eq!(
        why_not(&topology)[2].as_deref(),
        Some("backup, used when fewer than 2 primaries are usable")
    );
    take_down(&topology, 0, 0);
    assert_eq!(
        servers_in_use(&topology.backends[0]),
        "1 of 2 primaries usable and min_up is 2, backup s3 takes all"
    );
    assert_eq!(
        why_not(&topology),
        some(&["down", "primary, 1 usable, min_up is 2", ""])
    );
}

#[test]
fn zones_and_weights_are_reasons() {
    let servers = (1..=4).map(|n| ServerConfig {
        zone: (n < 4).then(|| if n < 3 { "a" } else { "b" }.into()),
        weight: u16::from(n != 2),
        ..server(&format!("s{n}"), n, false)
    });
    let mut config = backend("bk", false, servers.collect());
    config.failover.prefer_zone = Some(PreferredZone {
        zone: "a".into(),
        min_up: 1,
    });
    let topology = with_backend(config);
    assert_eq!(
        why_not(&topology),
        some(&[
            "",
            "weight 0",
            "zone b, zone a has 1 usable, min_up is 1",
            "in no zone, zone a has 1 usable, min_up is 1",
        ])
    );
    let backend = &topology.backends[0];
    assert_eq!(servers_in_use(backend), "1 of 4 primaries (zone a)");
    take_down(&topology, 0, 0);
    assert_eq!(
        servers_in_use(backend),
        "2 of 4 primaries (of any zone: a has 0, min_up is 1)"
    );
}

#[test]
fn probation_is_a_reason_until_nobody_else_is_left() {
    let topology = single_farm(false);
    let backend = &topology.backends[0];
    backend.servers[0].update(|status| {
        status.hold = Some(Hold {
            until: Some(topology.started),
            reason: HoldReason::Failback,
        });
    });
    backend.recompute(topology.started);
    assert_eq!(
        why_not(&topology)[0].as_deref(),
        Some("up, but sessions have not been allowed to go back to it yet")
    );
    (1..4).for_each(|server| take_down(&topology, 0, server));
    assert_eq!(
        servers_in_use(backend),
        "1 of 2 primaries (on probation, but nobody else is left)"
    );
}

#[test]
fn many_names_are_cut_short() {
    assert_eq!(listed(["a", "b", "c"].into_iter(), 3), "a, b, c");
    assert_eq!(listed(["a", "b", "c"].into_iter(), 1), "a and 2 more");
}

//! What the usable set must be, case by case and at random.

use proptest::prelude::*;

use super::*;
use crate::topology::sample::NOBODY;

fn server(up: bool, tier: u32) -> Candidate {
    Candidate {
        up,
        held: false,
        backup: tier > 0,
        tier,
        local: true,
        weight: 1,
        full_weight: 1,
    }
}

fn primary(up: bool) -> Candidate {
    server(up, 0)
}

fn tiered(tiers: &[u32]) -> Vec<Candidate> {
    tiers
        .iter()
        .map(|&tier| Candidate {
            backup: false,
            ..server(true, tier)
        })
        .collect()
}

fn first_backup(servers: &[Candidate]) -> UsableSet {
    UsableSet::compute(servers, &Policy::default(), None)
}

fn all_backups(servers: &[Candidate]) -> UsableSet {
    let policy = Policy {
        allbackups: true,
        ..Policy::default()
    };
    UsableSet::compute(servers, &policy, None)
}

fn firsts(set: &UsableSet, count: usize) -> Vec<u32> {
    (0..count).map_while(|_| set.first(NOBODY)).collect()
}

#[test]
fn primaries_keep_backups_out() {
    let set = all_backups(&[primary(true), primary(true), server(true, 1)]);
    assert_eq!(set.mode(), Mode::Primaries);
    assert_eq!(firsts(&set, 4), [0, 1, 0, 1]);
    assert_eq!((set.nbsrv(), set.usable_backups()), (2, 1));
}

#[test]
fn the_first_usable_backup_takes_everything() {
    let servers = [
        primary(false),
        server(false, 1),
        server(true, 2),
        server(true, 3),
    ];
    let set = first_backup(&servers);
    assert_eq!(set.mode(), Mode::FirstBackup);
    assert_eq!(firsts(&set, 3), [2, 2, 2]);
    assert_eq!(set.nbsrv(), 1, "nbsrv counts one in first-backup mode");
    assert_eq!(set.next(NOBODY, &[2], false), Some(3));
}

#[test]
fn allbackups_balances_over_every_usable_backup() {
    let set = all_backups(&[primary(false), server(true, 1), server(true, 1)]);
    assert_eq!(set.mode(), Mode::AllBackups);
    assert_eq!(firsts(&set, 4), [1, 2, 1, 2]);
    assert_eq!(set.nbsrv(), 2);
}

#[test]
fn nothing_is_usable() {
    let set = first_backup(&[primary(false), server(false, 1)]);
    assert_eq!(
        (set.mode(), set.nbsrv(), set.first(NOBODY)),
        (Mode::Nothing, 0, None)
    );
    assert_eq!(set.next(NOBODY, &[], true), None);
}

#[test]
fn weight_zero_is_not_usable() {
    let drained = Candidate {
        weight: 0,
        ..primary(true)
    };
    assert_eq!(
        firsts(&first_backup(&[drained, server(true, 1)]), 2),
        [1, 1]
    );
}

#[test]
fn another_attempt_goes_to_the_other_primaries_and_then_to_backups() {
    let set = first_backup(&[primary(true), primary(true), server(true, 1)]);
    assert_eq!(set.next(NOBODY, &[0], false), Some(1));
    assert_eq!(set.next(NOBODY, &[0, 1], false), Some(2));
    assert_eq!(set.next(NOBODY, &[0, 1, 2], false), None);
}

#[test]
fn the_last_attempt_prefers_a_backup() {
    let servers: Vec<_> = (0..8)
        .map(|_| primary(true))
        .chain([server(true, 1)])
        .collect();
    let set = first_backup(&servers);
    assert_eq!(set.next(NOBODY, &[0, 1, 2], true), Some(8));
    assert_ne!(set.next(NOBODY, &[0, 1, 2], false), Some(8));
}

#[test]
fn balancing_goes_on_when_a_server_leaves() {
    let before = first_backup(&[primary(true), primary(true), primary(true)]);
    assert_eq!(firsts(&before, 1), [0]);
    let fewer = [primary(true), primary(false), primary(true)];
    let after = UsableSet::compute(&fewer, &Policy::default(), before.resume());
    assert_eq!(firsts(&after, 3), [2, 0, 2]);
}

#[test]
fn a_tier_is_used_while_it_has_enough_servers() {
    let policy = Policy {
        min_up: vec![2, 2],
        ..Policy::default()
    };
    let mut servers = tiered(&[0, 0, 1, 1, 2]);
    let mode = |servers: &[Candidate]| UsableSet::compute(servers, &policy, None).mode();
    assert_eq!(mode(&servers), Mode::Primaries);
    servers[0].up = false;
    assert_eq!(mode(&servers), Mode::Tier(1));
    servers[2].up = false;
    assert_eq!(mode(&servers), Mode::Tier(2));
    servers[4].up = false;
    assert_eq!(
        mode(&servers),
        Mode::Primaries,
        "too few is better than none"
    );
}

#[test]
fn a_held_server_serves_only_when_nobody_else_does() {
    let held = Candidate {
        held: true,
        ..primary(true)
    };
    let set = first_backup(&[held, server(true, 1)]);
    assert_eq!(
        (set.mode(), firsts(&set, 2)),
        (Mode::FirstBackup, vec![1, 1])
    );
    assert_eq!(set.next(NOBODY, &[1], false), Some(0));
    assert_eq!(firsts(&first_backup(&[held, server(false, 1)]), 2), [0, 0]);
}

#[test]
fn the_preferred_zone_is_used_while_it_has_enough_servers() {
    let policy = Policy {
        zone_min_up: 2,
        ..Policy::default()
    };
    let mut servers = tiered(&[0, 0, 0, 0]);
    servers[2].local = false;
    servers[3].local = false;
    let set = UsableSet::compute(&servers, &policy, None);
    assert_eq!(set.in_use(), [0, 1]);
    assert_eq!(
        set.next(NOBODY, &[0, 1], false),
        Some(2),
        "then the other zones"
    );
    servers[1].up = false;
    assert_eq!(
        UsableSet::compute(&servers, &policy, None).in_use(),
        [0, 2, 3]
    );
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let candidate = (
        any::<bool>(),
        any::<bool>(),
        0u32..4,
        any::<bool>(),
        0u16..3,
    )
        .prop_map(|(up, held, tier, local, weight)| Candidate {
            up,
            held,
            backup: tier > 0,
            tier,
            local,
            weight,
            full_weight: weight,
        });
    prop::collection::vec(candidate, 1..12)
}

proptest! {
    #[test]
    fn never_an_unusable_server_and_never_a_later_tier_beside_a_ready_one(
        servers in candidates(),
        allbackups: bool,
        zone_min_up in 0u32..3,
        tried in prop::collection::vec(0u32..12, 0..6),
        last: bool,
    ) {
        let policy = Policy { zone_min_up, allbackups, ..Policy::default() };
        let set = UsableSet::compute(&servers, &policy, None);
        prop_assert_eq!(set.first(NOBODY).is_some(), servers.iter().any(|s| s.usable()));
        let best = servers.iter().filter(|s| s.ready()).map(|s| s.tier).min();
        if let Some(first) = set.first(NOBODY) {
            let server = servers[first as usize];
            prop_assert!(server.usable());
            prop_assert_eq!(server.held, best.is_none());
            prop_assert!(best.is_none_or(|best| server.tier == best));
        }
        let untried = (0..servers.len() as u32)
            .any(|p| servers[p as usize].usable() && !tried.contains(&p));
        let next = set.next(NOBODY, &tried, last);
        prop_assert_eq!(next.is_some(), untried, "somebody untried is found if there is one");
        if let Some(next) = next {
            prop_assert!(servers[next as usize].usable() && !tried.contains(&next));
        }
    }
}

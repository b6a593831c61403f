use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::acl::{Comparison, Condition, Sample};
use crate::config::{Balance, CheckConfig};
use crate::topology::sample::{self, NOBODY, empty_config};
use crate::topology::status::Admin;

/// A backend's name, and its servers: name, port, weight, whether it is a backup and is checked.
type Farm = (u8, Vec<(u8, u16, u16, bool, bool)>);

fn server(spec: (u8, u16, u16, bool, bool)) -> ServerConfig {
    let (name, port, weight, backup, checked) = spec;
    ServerConfig {
        weight,
        check: checked.then(CheckConfig::default),
        ..sample::server(&format!("s{name}"), port, backup)
    }
}

/// A rule for the first backend that is in force from one usable server down, until three.
fn rule(backend: u32) -> RuleConfig {
    let usable = |comparison, count| {
        Condition::Compare(Sample::UsableServers(BackendId(0)), comparison, count)
    };
    RuleConfig {
        backend: BackendId(backend),
        condition: Some(usable(Comparison::LessOrEqual, 1)),
        until: Some(usable(Comparison::GreaterOrEqual, 3)),
        text: String::new(),
    }
}

fn config(farms: &[Farm]) -> Config {
    let mut config = empty_config();
    for (name, servers) in farms {
        let servers = servers.iter().copied().map(server).collect();
        let farm = sample::backend(&format!("b{name}"), false, servers);
        config.backends.push(farm);
    }
    config.frontends = vec![sample::frontend("f", vec![rule(0)], Some(BackendId(0)))];
    config
}

fn built(config: &Config) -> Topology {
    let topology = Topology::build(config, 2, Instant::now());
    settle(&topology);
    topology
}

/// Every name resolves.
fn settle(topology: &Topology) {
    for server in topology.servers() {
        server.set_address(([127, 0, 0, 1], server.config.address.port).into());
    }
    topology
        .backends
        .iter()
        .for_each(|b| b.recompute(topology.started));
    topology.settle_rules();
}

/// As the supervisor does it.
fn reloaded(old: &Topology, config: &Config) -> Topology {
    let now = Instant::now();
    let next = old.rebuild(config, 2, now);
    for server in next.servers().filter(|s| s.address().is_none()) {
        server.set_address(([127, 0, 0, 1], server.config.address.port).into());
    }
    next.inherit(old, now);
    next.retired.take(old, &next, now);
    next
}

fn down(server: &Server) {
    server.update(|status| {
        if let Some(check) = &mut status.check {
            check.health = 0;
        }
        status.change(status.effective(), Instant::now());
    });
}

fn same_server(a: &Server, b: &Server) -> bool {
    a.path == b.path && a.config.address == b.config.address
}

#[test]
fn an_unchanged_configuration_gives_the_same_objects() {
    let config = config(&[
        (1, vec![(1, 81, 1, false, true)]),
        (2, vec![(1, 82, 1, true, false)]),
    ]);
    let old = built(&config);
    let new = reloaded(&old, &config);
    let same = |a: &Topology, b: &Topology| {
        let frontends = a.frontends.iter().zip(&b.frontends);
        let backends = a.backends.iter().zip(&b.backends);
        frontends.into_iter().all(|(a, b)| Arc::ptr_eq(a, b))
            && backends.into_iter().all(|(a, b)| Arc::ptr_eq(a, b))
    };
    assert!(same(&old, &new));
}

#[test]
fn balancing_goes_on_where_it_was() {
    let servers = |numbers: &[u8]| {
        let servers = numbers
            .iter()
            .map(|&n| (n, 80 + u16::from(n), 1, false, true));
        config(&[(1, servers.collect())])
    };
    let old = built(&servers(&[1, 2, 3, 4]));
    let next = |topology: &Topology| {
        let backend = &topology.backends[0];
        let position = backend.usable().first(NOBODY).unwrap();
        backend.server(position).config.name.clone()
    };
    assert_eq!([next(&old), next(&old)], ["s1", "s2"]);
    let new = reloaded(&old, &servers(&[4, 2, 1]));
    assert_eq!([next(&new), next(&new), next(&new)], ["s4", "s2", "s1"]);
}

#[test]
fn balancing_goes_on_by_another_algorithm() {
    let with = |balance| {
        let servers = (1..=4).map(|n| (n, 80 + u16::from(n), 1, false, true));
        let mut config = config(&[(1, servers.collect())]);
        config.backends[0].balance = balance;
        config
    };
    let next = |topology: &Topology| topology.backends[0].usable().first(NOBODY);
    let old = built(&with(Balance::RoundRobin));
    assert_eq!([next(&old), next(&old)], [Some(0), Some(1)]);
    // The session of a worker that has the old one still counts in the new one.
    old.backends[0].place(2).unwrap().take(0, 0);
    let new = reloaded(&old, &with(Balance::LeastConn));
    assert_eq!([(); 4].map(|()| next(&new)), [3, 0, 1, 3].map(Some));
    let first = reloaded(&new, &with(Balance::First));
    assert_eq!([next(&first), next(&first)], [Some(0), Some(0)]);
    let back = reloaded(&first, &with(Balance::RoundRobin));
    assert_eq!([next(&back), next(&back)], [Some(0), Some(1)]);
}

#[test]
fn a_client_stays_on_its_server_when_others_are_added_and_removed() {
    let with = |numbers: &[u8]| {
        let servers = numbers
            .iter()
            .map(|&n| (n, 80 + u16::from(n), 1, false, true));
        let mut config = config(&[(1, servers.collect())]);
        config.backends[0].balance = Balance::Source;
        config
    };
    let server_of = |topology: &Topology, client: u32| {
        let backend = &topology.backends[0];
        let position = backend.usable().first(IpAddr::V4(client.into())).unwrap();
        backend.server(position).config.name.clone()
    };
    let old = built(&with(&[1, 2, 3, 4]));
    let new = reloaded(&old, &with(&[5, 4, 2, 1]));
    for client in 0..200 {
        let (before, after) = (server_of(&old, client), server_of(&new, client));
        assert!(
            after == before || after == "s5" || before == "s3",
            "{before}, {after}"
        );
    }
}

#[test]
fn a_rule_goes_on_to_match_until_its_condition_holds() {
    let farm = |backend: u8| (backend, (1..=3).map(|n| (n, 80, 1, false, true)).collect());
    let old = built(&config(&[farm(1)]));
    let servers = &old.backends[0].servers;
    servers[..2].iter().for_each(|server| down(server));
    settle(&old);
    assert!(old.frontends[0].is_latched(0));
    servers[0].update(|s| s.check = s.check.map(|c| CheckHealth { health: 4, ..c }));
    // Two are usable now, which is not enough to go back.
    let mut moved = config(&[farm(2), farm(1)]);
    let frontend = &mut moved.frontends[0];
    frontend.rules[0].backend = BackendId(1);
    let of_second = |comparison, count| {
        Some(Condition::Compare(
            Sample::UsableServers(BackendId(1)),
            comparison,
            count,
        ))
    };
    frontend.rules[0].condition = of_second(Comparison::LessOrEqual, 1);
    frontend.rules[0].until = of_second(Comparison::GreaterOrEqual, 3);
    let new = reloaded(&old, &moved);
    assert_eq!(new.backends[1].usable().nbsrv(), 2);
    assert!(new.frontends[0].is_latched(0));
    // The same text about another backend is another rule.
    let other = reloaded(&old, &config(&[farm(2), farm(1)]));
    assert!(!other.frontends[0].is_latched(0));
}

#[test]
fn another_address_is_another_server_that_the_operators_wish_still_holds_for() {
    let farm = |port, weight| config(&[(1, vec![(1, port, weight, false, true)])]);
    let old = built(&farm(81, 1));
    old.backends[0].servers[0].update(|status| {
        status.admin = Admin::Drain;
        status.weight = Some(7);
        status.downs = 3;
    });
    let server = |topology: &Topology| Arc::clone(&topology.backends[0].servers[0]);
    let moved = server(&reloaded(&old, &farm(82, 1)));
    assert_ne!(moved.key, server(&old).key);
    assert_eq!(
        (moved.status().admin, moved.status().downs),
        (Admin::Drain, 0)
    );
    assert_eq!((moved.status().state, moved.weight()), (State::Drain, 7));
    // The file says something new about its weight, which counts.
    assert_eq!(server(&reloaded(&old, &farm(81, 5))).weight(), 5);
}

#[test]
fn a_server_that_comes_back_while_its_sessions_last_is_the_same() {
    let with = config(&[(1, vec![(1, 81, 1, false, true), (2, 82, 1, false, true)])]);
    let without = config(&[(1, vec![(1, 81, 1, false, true)])]);
    let old = built(&with);
    let gone = Arc::clone(&old.backends[0].servers[1]);
    gone.counters.enter(0, 0);
    let second = reloaded(&old, &without);
    assert!(!second.retired.forget(Instant::now()));
    assert_eq!(second.known(gone.key).unwrap().path, "b1/s2");
    let third = reloaded(&second, &with);
    assert_eq!(third.backends[0].servers[1].key, gone.key);
    assert!(third.retired.lists().0.is_empty());
    let fourth = reloaded(&third, &without);
    gone.counters.leave();
    assert!(fourth.retired.forget(Instant::now()));
    assert!(fourth.known(gone.key).is_none());
}

#[test]
fn what_a_removed_frontend_counted_stays_in_the_sum() {
    let one = config(&[(1, vec![(1, 81, 1, false, true)])]);
    let mut two = one.clone();
    two.frontends.push(sample::frontend("g", Vec::new(), None));
    let old = built(&two);
    old.frontends[1].counters.enter(1, 0);
    let new = reloaded(&old, &one);
    let sessions = |topology: &Topology| topology.retired.sum(|c| c.total(|s| &s.sessions));
    let open = |topology: &Topology| topology.retired.sum(|c| c.open().into());
    assert_eq!((sessions(&new), open(&new)), (1, 1));
    old.frontends[1].counters.leave();
    new.retired
        .forget(Instant::now() + std::time::Duration::from_secs(9));
    assert!(new.retired.lists().1.is_empty());
    assert_eq!((sessions(&new), open(&new)), (1, 0));
}

#[test]
fn a_counter_keeps_its_meaning_under_another_rise_and_fall() {
    let under = |health, rise, fall| {
        let before = CheckHealth {
            health,
            rise: 2,
            fall: 3,
        };
        counted_by(before, rise, fall).health
    };
    // At the maximum, one failed check away from it, nearly down; nearly up, down.
    assert_eq!([under(4, 5, 5), under(3, 5, 5), under(2, 5, 5)], [9, 6, 5]);
    assert_eq!([under(1, 5, 5), under(0, 5, 5)], [1, 0]);
    assert_eq!([under(4, 1, 1), under(3, 1, 1), under(1, 1, 1)], [1, 1, 0]);
}

prop_compose! {
    fn farms()(
        names in prop::sample::subsequence(vec![1u8, 2, 3], 1..=3).prop_shuffle(),
        servers in prop::collection::vec(
            prop::sample::subsequence(vec![1u8, 2, 3, 4], 1..=4).prop_shuffle(), 3),
        settings in prop::collection::vec((80..82u16, 0..3u16, any::<bool>(), any::<bool>()), 12),
    ) -> Vec<Farm> {
        let mut settings = settings.into_iter();
        names.into_iter().zip(servers).map(|(name, servers)| {
            let servers = servers.into_iter().zip(settings.by_ref());
            (name, servers.map(|(s, (p, w, b, c))| (s, p, w, b, c)).collect())
        }).collect()
    }
}

proptest! {
    #[test]
    fn what_stays_keeps_what_is_known_of_it(
        before in farms(),
        after in farms(),
        fallen in prop::collection::vec(any::<bool>(), 12),
        wishes in prop::collection::vec(0..3u8, 12),
    ) {
        let old = built(&config(&before));
        for ((server, &falls), &wish) in old.servers().zip(&fallen).zip(&wishes) {
            server.counters.enter(0, 0);
            server.update(|status| {
                status.admin = [Admin::Ready, Admin::Drain, Admin::Maintenance][wish as usize];
                status.change(status.effective(), Instant::now());
            });
            if falls {
                down(server);
            }
        }
        settle(&old);
        let new = reloaded(&old, &config(&after));

        for (position, backend) in new.backends.iter().enumerate() {
            prop_assert_eq!(backend.id.index(), position);
            let in_use = backend.usable().in_use().to_vec();
            backend.recompute(Instant::now());
            prop_assert_eq!(in_use, backend.usable().in_use().to_vec());
        }
        for server in new.servers() {
            let found = new.server_with(server.key).unwrap();
            prop_assert!(Arc::ptr_eq(found, server) && Arc::ptr_eq(new.server(server.id), server));
            let status = server.status();
            prop_assert_eq!(status.state, status.effective());
            prop_assert_eq!(status.check.is_some(), server.config.check.is_some());
            let namesake = old.servers().find(|was| was.path == server.path);
            if let Some(was) = namesake {
                prop_assert_eq!(status.admin, was.status().admin);
            }
            let was = old.servers().find(|was| same_server(was, server));
            prop_assert_eq!(server.counters.open(), u32::from(was.is_some()));
            if let Some(was) = was {
                prop_assert_eq!(was.key, server.key);
                if was.config.check.is_some() && server.config.check.is_some() {
                    // One of the two is told, and both know.
                    prop_assert_eq!(status.state, was.status().state);
                }
            }
        }
        let gone = old.servers().filter(|was| !new.servers().any(|s| same_server(was, s)));
        let gone: Vec<_> = gone.map(|server| server.key).collect();
        let retired: Vec<_> = new.retired.lists().0.iter().map(|s| s.key).collect();
        prop_assert_eq!(gone, retired);
    }
}

#[test]
fn limits_that_were_set_stay_until_the_file_says_something_new() {
    let limited = |maxconn| {
        let mut config = config(&[(1, vec![(1, 81, 1, false, true)])]);
        config.frontends[0].maxconn = Some(maxconn);
        config.backends[0].servers[0].maxconn = Some(maxconn);
        config
    };
    let limits = |topology: &Topology| {
        (
            topology.frontends[0].maxconn(),
            topology.backends[0].servers[0].maxconn(),
        )
    };
    let old = built(&limited(5));
    old.frontends[0].set_maxconn(7);
    old.backends[0].set_maxconn(&old.backends[0].servers[0], 8);
    let mut other = limited(5);
    other.backends[0].retries = 9;
    let second = reloaded(&old, &other);
    assert_eq!(limits(&second), (7, 8));
    assert!(Arc::ptr_eq(
        &second.backends[0].queue,
        &old.backends[0].queue
    ));
    assert_eq!(limits(&reloaded(&second, &limited(6))), (6, 6));
}

use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::config::{Balance, ServerConfig};
use crate::topology::Topology;
use crate::topology::sample::{NOBODY, backend, server, take_down, with_backend};

/// Two servers with room for `maxconn` sessions each, and a queue of at most `maxqueue`.
fn farm(maxconn: u32, maxqueue: Option<u32>) -> Arc<Topology> {
    let limited = |name, port| ServerConfig {
        maxconn: Some(maxconn),
        ..server(name, port, false)
    };
    let mut config = backend("bk", false, vec![limited("a", 1), limited("b", 2)]);
    config.maxqueue = maxqueue;
    with_backend(config)
}

fn offered(ticket: &mut Ticket) -> Option<Place> {
    match ticket.offer.try_recv() {
        Ok(offer) => Some(offer.expect("a server")),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Closed) => panic!("nobody will answer"),
    }
}

#[test]
fn the_oldest_gets_the_place_that_is_given_back() {
    let topology = farm(1, None);
    let bk = &topology.backends[0];
    let places = [0, 1].map(|position| bk.place(position).unwrap());
    assert!(bk.place(0).is_none());
    let [mut first, mut second] = [(); 2].map(|()| bk.queue_up(NOBODY, &[]).unwrap());
    assert_eq!((first.ahead, second.ahead, bk.queue.len()), (0, 1, 2));
    let [a, b] = places;
    drop(b);
    let place = offered(&mut first).unwrap();
    assert_eq!(place.server().config.name, "b");
    assert!(offered(&mut second).is_none());
    // What the first does not use goes to the second.
    a.take(0, 0);
    drop(place);
    let second = offered(&mut second).unwrap();
    assert_eq!(second.server().config.name, "b");
    assert_eq!((bk.queue.len(), bk.queue.longest()), (0, 2));
}

#[test]
fn leastconn_counts_sessions_that_connect_also_without_a_limit() {
    for (balance, counted) in [(Balance::RoundRobin, 0), (Balance::LeastConn, 1)] {
        let mut config = backend("bk", false, vec![server("a", 1, false)]);
        config.balance = balance;
        let topology = with_backend(config);
        let bk = &topology.backends[0];
        let counters = &bk.servers[0].counters;
        let place = bk.place(0).unwrap();
        assert_eq!(counters.taken(), counted);
        place.take(0, 0);
        assert_eq!((counters.taken(), counters.open()), (1, 1));
        bk.left(&bk.servers[0]);
        drop(bk.place(0));
        assert_eq!((counters.taken(), counters.open()), (0, 0));
    }
}

#[test]
fn a_full_server_leaves_sessions_to_the_least_loaded_with_room() {
    let with_maxconn = |name, port, maxconn| ServerConfig {
        maxconn: Some(maxconn),
        ..server(name, port, false)
    };
    let servers = [("a", 1), ("b", 3), ("c", 3)].map(|(n, maxconn)| with_maxconn(n, 1, maxconn));
    let mut config = backend("bk", false, servers.into());
    config.balance = Balance::LeastConn;
    let topology = with_backend(config);
    let bk = &topology.backends[0];
    let mut taken = String::new();
    for _ in 0..7 {
        let first = bk.usable().first(NOBODY).unwrap();
        let place = bk.place(first);
        let place = place.or_else(|| bk.place_elsewhere(NOBODY, &[])).unwrap();
        taken += &place.server().config.name;
        place.take(0, 0);
    }
    assert_eq!(taken, "abcbcbc");
    assert!(bk.place_elsewhere(NOBODY, &[]).is_none());
    let mut waiting = bk.queue_up(NOBODY, &[]).unwrap();
    assert!(offered(&mut waiting).is_none());
    bk.left(&bk.servers[2]);
    assert_eq!(offered(&mut waiting).unwrap().server().config.name, "c");
}

#[test]
fn a_session_that_ends_makes_room() {
    let topology = farm(1, None);
    let bk = &topology.backends[0];
    (0..2).for_each(|position| bk.place(position).unwrap().take(0, 0));
    let mut ticket = bk.queue_up(NOBODY, &[]).unwrap();
    assert!(offered(&mut ticket).is_none());
    bk.left(&bk.servers[1]);
    assert_eq!(offered(&mut ticket).unwrap().server().config.name, "b");
}

#[test]
fn a_newcomer_does_not_overtake() {
    let topology = farm(1, None);
    let bk = &topology.backends[0];
    (0..2).for_each(|position| bk.place(position).unwrap().take(0, 0));
    let mut waiting = bk.queue_up(NOBODY, &[0]).unwrap();
    // Server 0 has room, which the one that waits cannot use; who comes later queues all the same.
    bk.left(&bk.servers[0]);
    assert!(offered(&mut waiting).is_none());
    assert!(bk.place(0).is_none());
    let mut behind = bk.queue_up(NOBODY, &[]).unwrap();
    assert_eq!(offered(&mut behind).unwrap().server().config.name, "a");
}

#[test]
fn the_queue_is_bounded_and_left_when_the_ticket_goes() {
    let topology = farm(1, Some(2));
    let bk = &topology.backends[0];
    (0..2).for_each(|position| bk.place(position).unwrap().take(0, 0));
    let first = bk.queue_up(NOBODY, &[]).unwrap();
    let _second = bk.queue_up(NOBODY, &[]).unwrap();
    assert!(bk.queue_up(NOBODY, &[]).is_none());
    drop(first);
    assert_eq!(bk.queue.len(), 1);
    assert!(bk.queue_up(NOBODY, &[]).is_some());
}

#[test]
fn without_a_server_all_are_sent_away() {
    let topology = farm(1, None);
    let bk = &topology.backends[0];
    (0..2).for_each(|position| bk.place(position).unwrap().take(0, 0));
    let mut ticket = bk.queue_up(NOBODY, &[]).unwrap();
    take_down(&topology, 0, 0);
    assert!(offered(&mut ticket).is_none());
    take_down(&topology, 0, 1);
    assert!(ticket.offer.try_recv().unwrap().is_none());
}

#[test]
fn a_raised_limit_serves_at_once() {
    let topology = farm(1, None);
    let bk = &topology.backends[0];
    (0..2).for_each(|position| bk.place(position).unwrap().take(0, 0));
    let mut tickets: Vec<_> = (0..3).map(|_| bk.queue_up(NOBODY, &[]).unwrap()).collect();
    bk.set_maxconn(&bk.servers[0], 3);
    let served: Vec<_> = tickets.iter_mut().map(offered).collect();
    assert_eq!(served.iter().flatten().count(), 2);
    assert!(served[2].is_none());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// Threads that come, wait and go, as sessions of several workers do: none is forgotten, and no
/// server ever has more than it may.
#[test]
fn nobody_is_forgotten() {
    let topology = farm(2, None);
    let bk = &topology.backends[0];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || {
                for round in 0..500 {
                    let place = bk.place(round % 2).unwrap_or_else(|| {
                        let mut ticket = bk.queue_up(NOBODY, &[]).unwrap();
                        let place = runtime().block_on(ticket.turn());
                        place.expect("a server")
                    });
                    let server = Arc::clone(place.server());
                    if round % 3 > 0 {
                        place.take(0, 0);
                        bk.left(&server);
                    }
                }
            });
        }
    });
    assert_eq!(bk.queue.len(), 0);
    for server in &bk.servers {
        let counters = &server.counters;
        assert!(counters.most_open() <= 2, "{}", counters.most_open());
        assert_eq!(counters.open(), 0);
    }
}

//! Who has the fewest sessions.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

/// Servers of these weights with no session.
fn farm(weights: &[u16]) -> (LeastConn, Vec<Arc<Counters>>) {
    let counters: Vec<_> = weights.iter().map(|_| Arc::new(Counters::new(1))).collect();
    let servers: Vec<_> = (0..).zip(weights.iter().copied()).collect();
    (LeastConn::new(&servers, &counters, 0), counters)
}

/// Has a session begin on the server that is chosen.
fn begin(order: &LeastConn, counters: &[Arc<Counters>]) -> u32 {
    let chosen = order.next().unwrap();
    assert!(counters[chosen as usize].reserve(u32::MAX));
    chosen
}

fn sessions(counters: &[Arc<Counters>]) -> Vec<u64> {
    counters.iter().map(|counters| counters.taken()).collect()
}

#[test]
fn servers_of_an_idle_farm_take_turns_whatever_their_weight() {
    let (order, _) = farm(&[1, 3, 2]);
    let chosen: Vec<_> = (0..6).map_while(|_| order.next()).collect();
    assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn the_server_that_lost_its_sessions_is_next() {
    let (order, counters) = farm(&[1, 1, 1]);
    let chosen: Vec<_> = (0..4).map(|_| begin(&order, &counters)).collect();
    assert_eq!(chosen, [0, 1, 2, 0]);
    counters[2].give_back();
    assert_eq!([(); 2].map(|()| begin(&order, &counters)), [2, 1]);
}

#[test]
fn open_sessions_count_as_those_that_connect() {
    let (order, counters) = farm(&[1, 1]);
    counters[0].enter(0, 0);
    assert_eq!([(); 3].map(|()| begin(&order, &counters)), [1, 0, 1]);
}

#[test]
fn sessions_that_last_are_shared_by_weight() {
    let (order, counters) = farm(&[16, 48, 32]);
    (0..600).for_each(|_| _ = begin(&order, &counters));
    assert_eq!(sessions(&counters), [100, 300, 200]);
}

#[test]
fn among_those_that_fit_the_least_loaded() {
    let (order, counters) = farm(&[1, 1, 1, 1]);
    counters[1].enter(0, 0);
    assert_eq!(order.next_that(|p| p == 1 || p == 3), Some(3));
    assert_eq!(order.next_that(|p| p == 1), Some(1));
    assert_eq!(order.next_that(|_| false), None);
}

#[test]
fn nobody_is_chosen_among_none() {
    let (order, _) = farm(&[]);
    assert_eq!((order.next(), order.peek()), (None, None));
}

#[test]
fn a_new_order_goes_on_where_the_old_one_was() {
    let counters: Vec<_> = (0..4).map(|_| Arc::new(Counters::new(1))).collect();
    let order = LeastConn::new(&[(0, 1), (2, 1), (3, 1)], &counters, 1);
    assert_eq!(order.peek(), Some(2));
    assert_eq!([(); 3].map(|()| order.next()), [Some(2), Some(3), Some(0)]);
}

#[test]
fn ten_thousand_servers_are_filled_evenly() {
    let (order, counters) = farm(&vec![16; 10_000]);
    let idle: Vec<_> = (0..20_000).map_while(|_| order.next()).collect();
    assert!(idle.iter().copied().eq((0..10_000).chain(0..10_000)));
    // One part of the farm begins with more than the other.
    (0..3_000).for_each(|p| (0..3).for_each(|_| counters[p].enter(0, 0)));
    (0..31_000).for_each(|_| _ = begin(&order, &counters));
    let sessions = sessions(&counters);
    let (least, most) = (sessions.iter().min().unwrap(), sessions.iter().max());
    assert_eq!(sessions.iter().sum::<u64>(), 40_000);
    assert!(*least >= 3 && most <= Some(&5), "{least} to {most:?}");
}

#[test]
fn of_ten_thousand_the_only_one_that_fits_is_found() {
    let (order, _) = farm(&vec![16; 10_000]);
    assert_eq!(order.next_that(|position| position == 7_777), Some(7_777));
    assert_eq!(order.next_that(|_| false), None);
}

/// However workers interleave, no server is further ahead than there are workers.
#[test]
fn workers_that_choose_at_once_do_not_overload_one_server() {
    const WORKERS: u64 = 4;
    let (order, counters) = farm(&[16; 7]);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| (0..7_000).for_each(|_| _ = begin(&order, &counters)));
        }
    });
    let sessions = sessions(&counters);
    let ahead = sessions.iter().max().unwrap() - sessions.iter().min().unwrap();
    assert!(ahead <= WORKERS, "{sessions:?}");
}

/// What is compared, as HAProxy computes it, without a division.
fn compare(a: (u64, u16), b: (u64, u16)) -> Ordering {
    let key = |(sessions, weight): (u64, u16)| match sessions {
        0 => (0, u64::from(weight)),
        _ => (sessions + 1, u64::from(weight)),
    };
    let ((a, a_weight), (b, b_weight)) = (key(a), key(b));
    (a * b_weight).cmp(&(b * a_weight))
}

proptest! {
    #[test]
    fn never_a_server_with_more_load_than_another(
        servers in prop::collection::vec((0u64..6, 1u16..=4096), 1..40),
        excluded in prop::collection::vec(0u32..40, 0..8),
        choices in 1..30,
    ) {
        let weights: Vec<_> = servers.iter().map(|&(_, weight)| weight).collect();
        let (order, counters) = farm(&weights);
        for (counters, &(sessions, _)) in counters.iter().zip(&servers) {
            (0..sessions).for_each(|_| counters.enter(0, 0));
        }
        let fits = |position: u32| !excluded.contains(&position);
        for _ in 0..choices {
            let before = sessions(&counters);
            let load = |p: u32| (before[p as usize], weights[p as usize]);
            let chosen = order.next_that(fits);
            let mut fitting = (0..weights.len() as u32).filter(|&p| fits(p));
            prop_assert_eq!(chosen.is_some(), fitting.clone().next().is_some());
            if let Some(chosen) = chosen {
                prop_assert!(fits(chosen));
                prop_assert!(fitting.all(|p| compare(load(chosen), load(p)).is_le()));
                counters[chosen as usize].enter(0, 0);
            }
        }
    }
}

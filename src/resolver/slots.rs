//! Which servers of a template take which of a name's addresses. Nothing here knows the network.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One server of a template, before an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The address that it has.
    pub(super) held: Option<SocketAddr>,
    /// Whether the operator has given it that address, which the name does not take away.
    pub(super) fixed: bool,
    /// Whether it works, so that the hold time counts.
    pub(super) works: bool,
    /// Since when its address has been missing in the answers.
    pub(super) missing_since: Option<Instant>,
}

/// What follows from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// For each server the address that it shall have, and since when that has been missing.
    pub(super) slots: Vec<(Option<SocketAddr>, Option<Instant>)>,
    /// Addresses that no server is left for.
    pub(super) left_over: usize,
}

/// Each server keeps its address while the answer has it, and for `hold` after that if it works.
/// Addresses that no server has go to the free ones, both in order. `addresses` has none twice.
pub(super) fn plan(slots: &[Slot], addresses: &[SocketAddr], hold: Duration, now: Instant) -> Plan {
    let kept = slots.iter().map(|slot| keep(slot, addresses, hold, now));
    let mut kept: Vec<_> = kept.collect();
    let taken = |address: &&SocketAddr| kept.iter().any(|(held, _)| held == &Some(**address));
    let new: Vec<_> = addresses.iter().filter(|a| !taken(a)).copied().collect();
    let mut new = new.into_iter();
    // Those that lose an address at this moment come first: they have sessions to serve.
    for loses in [true, false] {
        for (slot, free) in slots.iter().zip(&mut kept) {
            if free.0.is_none() && slot.held.is_some() == loses {
                *free = (new.next(), None);
            }
        }
    }
    Plan {
        slots: kept,
        left_over: new.count(),
    }
}

fn keep(
    slot: &Slot,
    addresses: &[SocketAddr],
    hold: Duration,
    now: Instant,
) -> (Option<SocketAddr>, Option<Instant>) {
    let Some(address) = slot.held else {
        return (None, None);
    };
    if slot.fixed || addresses.contains(&address) {
        return (Some(address), None);
    }
    let since = slot.missing_since.unwrap_or(now);
    let stays = slot.works && now.duration_since(since) < hold;
    (stays.then_some(address), stays.then_some(since))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 80))
    }

    fn slot(held: Option<u8>) -> Slot {
        Slot {
            held: held.map(address),
            fixed: false,
            works: true,
            missing_since: None,
        }
    }

    /// What the servers hold after the answer.
    fn after(slots: &[Slot], answer: &[u8], hold: u64, now: Instant) -> (Vec<Option<u8>>, usize) {
        let answer: Vec<_> = answer.iter().copied().map(address).collect();
        let plan = plan(slots, &answer, Duration::from_secs(hold), now);
        let last = |address: SocketAddr| match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        let found = plan.slots.iter().map(|(held, _)| held.map(last));
        (found.collect(), plan.left_over)
    }

    #[test]
    fn addresses_go_to_free_servers_in_order() {
        let slots = [slot(None), slot(Some(2)), slot(None)];
        let now = Instant::now();
        let found = after(&slots, &[1, 2], 0, now);
        assert_eq!(found, (vec![Some(1), Some(2), None], 0));
        let found = after(&slots, &[1, 2, 3, 4, 5], 0, now);
        assert_eq!(found, (vec![Some(1), Some(2), Some(3)], 2));
    }

    #[test]
    fn a_server_whose_address_is_gone_takes_another() {
        let slots = [slot(Some(1)), slot(Some(2))];
        let found = after(&slots, &[2, 9], 0, Instant::now());
        assert_eq!(found, (vec![Some(9), Some(2)], 0));
        let slots = [slot(None), slot(Some(1))];
        let found = after(&slots, &[9], 0, Instant::now());
        assert_eq!(found, (vec![None, Some(9)], 0));
    }

    #[test]
    fn a_server_that_works_is_held_for_a_while_and_one_that_does_not_is_not() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut working = slot(Some(1));
        let answer = [address(2)];
        let first = plan(&[working], &answer, Duration::from_secs(30), began);
        assert_eq!(first.slots, [(Some(address(1)), Some(began))]);
        assert_eq!(first.left_over, 1);
        working.missing_since = Some(began);
        assert_eq!(after(&[working], &[2], 30, at(29)).0, [Some(1)]);
        assert_eq!(after(&[working], &[2], 30, at(30)).0, [Some(2)]);
        let dead = Slot {
            works: false,
            ..working
        };
        assert_eq!(after(&[dead], &[2], 30, at(1)).0, [Some(2)]);
        let back = plan(&[working], &[address(1)], Duration::from_secs(30), at(29));
        assert_eq!(back.slots, [(Some(address(1)), None)]);
    }

    #[test]
    fn what_the_operator_has_set_stays_and_is_not_taken_twice() {
        let fixed = Slot {
            fixed: true,
            ..slot(Some(7))
        };
        let found = after(&[fixed, slot(None)], &[7, 8], 0, Instant::now());
        assert_eq!(found, (vec![Some(7), Some(8)], 0));
        assert_eq!(after(&[fixed], &[], 0, Instant::now()).0, [Some(7)]);
    }

    proptest! {
        /// Whatever name servers say, one after another.
        #[test]
        fn every_address_has_at_most_one_server_and_none_is_left_while_one_is_free(
            count in 1..8_usize,
            hold in 0..4_u64,
            answers in prop::collection::vec(
                (prop::collection::btree_set(0..12_u8, 0..10), any::<u8>()), 1..20),
        ) {
            let began = Instant::now();
            let mut slots = vec![slot(None); count];
            for (second, (answer, works)) in answers.into_iter().enumerate() {
                let now = began + Duration::from_secs(second as u64);
                let answer: Vec<_> = answer.into_iter().map(address).collect();
                let before: Vec<_> = slots.iter().map(|slot| slot.held).collect();
                let plan = plan(&slots, &answer, Duration::from_secs(hold), now);
                let held: Vec<_> = plan.slots.iter().filter_map(|(held, _)| *held).collect();
                let distinct: HashSet<_> = held.iter().collect();
                prop_assert_eq!(distinct.len(), held.len());
                prop_assert!(plan.left_over == 0 || held.len() == count);
                let served = answer.iter().filter(|a| held.contains(a)).count();
                prop_assert_eq!(served + plan.left_over, answer.len());
                for (slot, (was, (is, since))) in
                    slots.iter_mut().zip(before.into_iter().zip(&plan.slots))
                {
                    if was.is_some_and(|was| answer.contains(&was)) {
                        prop_assert_eq!(was, *is);
                    }
                    slot.held = *is;
                    slot.missing_since = *since;
                    slot.works = works & 1 == 0;
                }
            }
        }
    }
}

//! Who gets which server, and who moves when servers come and go.

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

/// A backend of servers with these names and weights.
struct Farm {
    names: Vec<String>,
    weights: Vec<u16>,
}

impl Farm {
    fn new(servers: &[(&str, u16)]) -> Self {
        Self {
            names: servers.iter().map(|(name, _)| (*name).to_owned()).collect(),
            weights: servers.iter().map(|&(_, weight)| weight).collect(),
        }
    }

    /// Servers `s0`, `s1`, … of these weights.
    fn of(weights: &[u16]) -> Self {
        let names = (0..weights.len()).map(|index| format!("s{index}"));
        Self {
            names: names.collect(),
            weights: weights.to_vec(),
        }
    }

    /// The order when servers have these weights now.
    fn order(&self, now: &[u16]) -> Source {
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        let table = Table::without_weights(&names);
        let table = table.reweighted(&self.weights).unwrap_or(table);
        let in_use = (0..).zip(now.iter().copied());
        let in_use: Vec<_> = in_use.filter(|&(_, weight)| weight > 0).collect();
        Source::new(&in_use, &self.weights, Arc::new(table))
    }

    fn whole(&self) -> Source {
        self.order(&self.weights)
    }

    fn without(&self, down: &[usize]) -> Source {
        let mut now = self.weights.clone();
        for &index in down {
            now[index] = 0;
        }
        self.order(&now)
    }
}

fn client(number: u32) -> IpAddr {
    // Neighbours, as clients of one site are.
    IpAddr::V4((0x0a00_0000 + number).into())
}

fn choices(order: &Source, clients: u32) -> Vec<u32> {
    let servers = (0..clients).map_while(|number| order.next(client(number)));
    servers.collect()
}

/// Instances that do not agree with this one, be it one that runs or one of an earlier version, send
/// clients elsewhere: only a release that says so may change these.
#[test]
fn every_process_chooses_alike() {
    let farm = Farm::new(&[("web1", 16), ("web2", 16), ("web3", 32), ("cache", 4096)]);
    let order = farm.without(&[3]);
    let names = (0..16).filter_map(|number| order.next(client(number)));
    let names: Vec<_> = names
        .map(|position| &*farm.names[position as usize])
        .collect();
    assert_eq!(
        names.join(" "),
        "web2 web3 web3 web3 web3 web3 web2 web1 web3 web3 web3 web2 web3 web3 web1 web3"
    );
    let v6 = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"];
    let v6 = v6.map(|address| order.next(address.parse().unwrap()).unwrap());
    assert_eq!(v6, [2, 0, 2]);
}

#[test]
fn the_order_of_the_file_does_not_matter() {
    let farm = Farm::new(&[("a", 16), ("b", 16), ("c", 48)]);
    let other = Farm::new(&[("c", 48), ("a", 16), ("b", 16)]);
    let (order, other) = (farm.whole(), other.whole());
    for number in 0..1_000 {
        let chosen = order.next(client(number)).unwrap();
        assert_eq!(other.next(client(number)), Some((chosen + 1) % 3));
    }
}

#[test]
fn an_ipv4_client_is_the_same_on_a_listener_for_ipv6() {
    let order = Farm::of(&[16; 9]).whole();
    for number in 0..100 {
        let IpAddr::V4(address) = client(number) else {
            unreachable!("clients are IPv4");
        };
        let mapped: Ipv6Addr = address.to_ipv6_mapped();
        assert_eq!(order.next(mapped.into()), order.next(client(number)));
    }
}

#[test]
fn shares_follow_weights() {
    let farm = Farm::of(&[16, 32, 48, 64, 0]);
    let chosen = choices(&farm.whole(), 160_000);
    for (index, weight) in farm.weights.iter().enumerate() {
        let share = chosen.iter().filter(|&&c| c as usize == index).count();
        let wanted = usize::from(*weight) * 1_000;
        assert!(share.abs_diff(wanted) * 20 <= wanted, "{share}, {wanted}");
    }
}

#[test]
fn few_of_many_servers_share_all_clients() {
    let farm = Farm::of(&[16; 400]);
    let down: Vec<_> = (0..400)
        .filter(|index| ![7, 100, 399].contains(index))
        .collect();
    let chosen = choices(&farm.without(&down), 3_000);
    assert_eq!(chosen.len(), 3_000);
    for server in [7, 100, 399] {
        let share = chosen.iter().filter(|&&c| c == server).count();
        assert!((850..=1_150).contains(&share), "{server}: {share}");
    }
}

#[test]
fn ten_thousand_servers_all_have_clients() {
    let chosen = choices(&Farm::of(&vec![16; 10_000]).whole(), 400_000);
    let mut shares = vec![0; 10_000];
    for &server in &chosen {
        shares[server as usize] += 1;
    }
    let served = shares.iter().filter(|&&share| share > 0).count();
    assert!(served > 9_900, "{served}");
}

#[test]
fn a_server_that_starts_slowly_takes_its_clients_one_by_one() {
    let farm = Farm::of(&[160; 4]);
    let whole = choices(&farm.whole(), 4_000);
    let mut before = choices(&farm.without(&[2]), 4_000);
    for weight in [1, 40, 80, 120, 160] {
        let now = choices(&farm.order(&[160, 160, weight, 160]), 4_000);
        for (index, &chosen) in now.iter().enumerate() {
            let stays = chosen == before[index];
            assert!(stays || (chosen == 2 && whole[index] == 2), "one way only");
        }
        let taken = now.iter().filter(|&&chosen| chosen == 2).count();
        let wanted = whole.iter().filter(|&&c| c == 2).count() * usize::from(weight) / 160;
        assert!(taken.abs_diff(wanted) < 80, "{taken} for {wanted}");
        before = now;
    }
    assert_eq!(before, whole);
}

#[test]
fn nobody_is_chosen_among_none() {
    assert_eq!(Farm::of(&[]).whole().next(client(1)), None);
    assert_eq!(Farm::of(&[0, 0]).whole().next(client(1)), None);
    assert_eq!(Farm::of(&[1, 1]).without(&[0, 1]).next(client(1)), None);
    assert_eq!(Farm::of(&[1]).whole().next_that(client(1), |_| false), None);
}

fn weights() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(1u16..=256, 2..9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn a_death_moves_only_the_dead_servers_clients(
        weights in weights(),
        dead: prop::sample::Index,
        other: prop::sample::Index,
    ) {
        let farm = Farm::of(&weights);
        let (dead, other) = (dead.index(weights.len()), other.index(weights.len()));
        // Also while another one is down.
        let down: &[usize] = if other == dead { &[] } else { &[other] };
        let (before, after) = (farm.without(down), farm.without(&[down, &[dead]].concat()));
        for number in 0..500 {
            let was = before.next(client(number));
            let refused = before.next_that(client(number), |p| p as usize != dead);
            prop_assert_eq!(after.next(client(number)), refused, "as one that is refused");
            if was != Some(dead as u32) {
                prop_assert_eq!(refused, was);
            }
        }
    }

    #[test]
    fn more_weight_takes_clients_from_others_and_moves_nobody_else(
        weights in weights(),
        grows: prop::sample::Index,
        by in 1u16..256,
    ) {
        let grows = grows.index(weights.len());
        let mut more = weights.clone();
        more[grows] += by;
        let (before, after) = (Farm::of(&weights).whole(), Farm::of(&more).whole());
        for number in 0..500 {
            let now = after.next(client(number));
            prop_assert!(now == Some(grows as u32) || now == before.next(client(number)));
        }
    }

    #[test]
    fn a_new_server_takes_clients_and_moves_nobody_else(weights in weights()) {
        let (fewer, all) = (Farm::of(&weights[1..]), Farm::of(&weights));
        let names = all.names[1..].to_vec();
        let fewer = Farm { names, ..fewer };
        let (before, after) = (fewer.whole(), all.whole());
        for number in 0..500 {
            let was = before.next(client(number)).map(|position| position + 1);
            let now = after.next(client(number));
            prop_assert!(now == Some(0) || now == was);
        }
    }
}

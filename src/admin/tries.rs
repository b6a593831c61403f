//! How many wrong passwords may be tried from one address.
//!
//! Each address has a bucket that a wrong try fills by one and time empties. While it is full
//! nothing from there is looked at, right or wrong, so that a right password cannot be told from
//! a wrong one by trying on.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong tries in a row before an address has to wait.
const MOST: u32 = 20;

/// How long it takes until one try is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(5);

/// Addresses that are told apart; the rest share one bucket.
const ADDRESSES: usize = 4096;

/// The wrong tries of the last minutes.
#[derive(Debug, Default)]
pub struct Tries(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    addresses: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// When all tries will be forgotten.
    empty: Option<Instant>,
}

impl Tries {
    /// How long `address` has to wait before it may try a password; `None` if it may at once.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = table.addresses.get(&neighbourhood(address));
        bucket.unwrap_or(&table.others).wait(now)
    }

    /// Takes note of a wrong try.
    pub fn wrong(&self, address: IpAddr, now: Instant) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.bucket(neighbourhood(address), now).fill(now);
    }
}

impl Table {
    fn bucket(&mut self, address: IpAddr, now: Instant) -> &mut Bucket {
        if self.addresses.len() >= ADDRESSES && !self.addresses.contains_key(&address) {
            self.addresses
                .retain(|_, bucket| bucket.level(now) > Duration::ZERO);
            if self.addresses.len() >= ADDRESSES {
                return &mut self.others;
            }
        }
        self.addresses.entry(address).or_default()
    }
}

impl Bucket {
    fn level(self, now: Instant) -> Duration {
        let left = self.empty.map(|empty| empty.saturating_duration_since(now));
        left.unwrap_or_default()
    }

    fn wait(self, now: Instant) -> Option<Duration> {
        let over = (self.level(now) + FORGOTTEN).checked_sub(FORGOTTEN * MOST)?;
        (!over.is_zero()).then_some(over)
    }

    fn fill(&mut self, now: Instant) {
        self.empty = Some(now + self.level(now) + FORGOTTEN);
    }
}

/// The address, or the /64 that one client has all of.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_waits_after_too_many_wrong_tries_and_others_do_not() {
        let (tries, start) = (Tries::default(), Instant::now());
        let (guest, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for _ in 0..MOST {
            assert_eq!(tries.wait(guest, start), None);
            tries.wrong(guest, start);
        }
        assert_eq!(tries.wait(guest, start), Some(FORGOTTEN));
        assert_eq!(tries.wait(ip("::ffff:192.0.2.1"), start), Some(FORGOTTEN));
        assert_eq!(tries.wait(other, start), None);
        assert_eq!(tries.wait(guest, start + FORGOTTEN), None);
        tries.wrong(guest, start + FORGOTTEN);
        assert_eq!(tries.wait(guest, start + FORGOTTEN), Some(FORGOTTEN));
        assert_eq!(tries.wait(guest, start + FORGOTTEN * (MOST + 1)), None);
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        assert_eq!(
            neighbourhood(ip("2001:db8::1")),
            neighbourhood(ip("2001:db8::2"))
        );
        assert_ne!(
            neighbourhood(ip("2001:db8::1")),
            neighbourhood(ip("2001:db8:0:1::1"))
        );
    }

    #[test]
    fn many_addresses_take_no_more_memory_and_get_no_more_tries() {
        let (tries, start) = (Tries::default(), Instant::now());
        for number in 0..=ADDRESSES as u32 + MOST {
            tries.wrong(IpAddr::from(number.to_be_bytes()), start);
        }
        assert_eq!(tries.0.lock().unwrap().addresses.len(), ADDRESSES);
        assert!(tries.wait(ip("203.0.113.1"), start).is_some());
        let later = start + FORGOTTEN * (MOST + 2);
        tries.wrong(ip("203.0.113.1"), later);
        assert_eq!(tries.0.lock().unwrap().addresses.len(), 1);
        assert_eq!(tries.wait(ip("203.0.113.2"), later), None);
    }

    proptest! {
        /// However they are spread, no more than the bucket holds and forgets are let through.
        #[test]
        fn tries_are_bounded(pauses in proptest::collection::vec(0_u64..8_000, 1..400)) {
            let (tries, start) = (Tries::default(), Instant::now());
            let (mut now, mut let_through) = (start, 0);
            for pause in pauses {
                now += Duration::from_millis(pause);
                if tries.wait(ip("192.0.2.1"), now).is_none() {
                    tries.wrong(ip("192.0.2.1"), now);
                    let_through += 1;
                }
            }
            let forgotten = (now - start).as_millis() / FORGOTTEN.as_millis();
            prop_assert!(let_through <= u128::from(MOST) + forgotten + 1, "{let_through}");
        }
    }
}

//! Which clients a frontend serves, and how many of them in a second.
//!
//! Everything here is of a fixed size, whatever clients do: a rate is one number, and the rates of
//! addresses are a table in which the one that is nearest to being forgotten makes room.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::config::clients::{ClientLimits, SourceRate};
use crate::counters::Total;

/// Addresses of which the rate is known at once: `SETS` times `WAYS`, 1 MiB.
const SETS: usize = 1 << 13;
const WAYS: usize = 8;

/// Why a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its address is not allowed.
    Address,
    /// Its address has begun too many sessions.
    Rate,
    /// The same of the address in a PROXY header.
    ToldAddress,
    /// The same of the address in a PROXY header.
    ToldRate,
    /// What came in place of a PROXY header is none.
    Garbage,
    /// The connection ended before its PROXY header.
    Closed,
    /// The PROXY header did not come in time.
    Late,
}

impl Refusal {
    /// Every one, in the order of the enum.
    pub const ALL: [Self; 7] = [
        Self::Address,
        Self::Rate,
        Self::ToldAddress,
        Self::ToldRate,
        Self::Garbage,
        Self::Closed,
        Self::Late,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Rate => "rate",
            Self::ToldAddress => "proxied_address",
            Self::ToldRate => "proxied_rate",
            Self::Garbage => "proxy_header_garbage",
            Self::Closed => "proxy_header_missing",
            Self::Late => "proxy_header_late",
        }
    }

    /// What log lines say of such clients.
    pub fn text(self) -> &'static str {
        match self {
            Self::Address | Self::ToldAddress => "from an address that is not allowed",
            Self::Rate | Self::ToldRate => "above source_rate_limit",
            Self::Garbage => "without a PROXY header",
            Self::Closed => "closed before a PROXY header",
            Self::Late => "whose PROXY header did not come in time",
        }
    }

    /// Whether the fault is that of a PROXY header, or that there is none.
    pub fn is_of_header(self) -> bool {
        matches!(self, Self::Garbage | Self::Closed | Self::Late)
    }

    /// The same when the address is that of a PROXY header.
    fn told(self) -> Self {
        match self {
            Self::Address => Self::ToldAddress,
            Self::Rate => Self::ToldRate,
            other => other,
        }
    }
}

/// How many clients were refused, counted by each worker for itself.
#[derive(Debug)]
pub struct Refusals(Box<[CachePadded<[Total; Refusal::ALL.len()]>]>);

impl Refusals {
    /// Zeroes, for `workers` writing threads.
    pub fn new(workers: usize) -> Self {
        let zeroes = |_| CachePadded::new(std::array::from_fn(|_| Total::default()));
        Self((0..workers).map(zeroes).collect())
    }

    /// Counts one. Only the worker itself may call this.
    pub fn count(&self, worker: usize, refusal: Refusal) {
        self.0[worker][refusal as usize].add(1);
    }

    /// How many were refused for this reason.
    pub fn total(&self, refusal: Refusal) -> u64 {
        let workers = self.0.iter();
        workers.map(|totals| totals[refusal as usize].get()).sum()
    }
}

/// A frontend's say in whom it serves.
#[derive(Debug)]
pub struct Guard {
    limits: ClientLimits,
    /// The zero of the times below.
    created: Instant,
    pace: CachePadded<Bucket>,
    sources: Option<Sources>,
}

impl Guard {
    /// A guard that has seen nobody yet.
    pub fn new(limits: &ClientLimits) -> Self {
        Self {
            limits: limits.clone(),
            created: Instant::now(),
            pace: CachePadded::default(),
            sources: limits.source_rate.map(Sources::new),
        }
    }

    /// Whether a session may begin now, as far as the frontend's rate allows; if not, after how
    /// long to ask again (configuration.txt, "rate-limit sessions").
    pub fn pace(&self) -> Result<(), Duration> {
        match self.limits.rate {
            None => Ok(()),
            Some(rate) => {
                let second = Duration::from_secs(1);
                self.pace.take(rate, second, self.created.elapsed())
            }
        }
    }

    /// Why `client` is refused, if it is; it is one that was `told` of by a PROXY header or has
    /// connected itself. Who is not refused counts as one more session of its address.
    pub fn judge(&self, client: IpAddr, told: bool) -> Option<Refusal> {
        let ClientLimits { allow, deny, .. } = &self.limits;
        let refusal =
            if deny.contains(client) || allow.as_ref().is_some_and(|a| !a.contains(client)) {
                Some(Refusal::Address)
            } else {
                let sources = self.sources.as_ref();
                let over = sources.is_some_and(|s| !s.admit(client, self.created.elapsed()));
                over.then_some(Refusal::Rate)
            };
        refusal.map(|refusal| if told { refusal.told() } else { refusal })
    }
}

/// A token bucket as one number: the time at which it will be full again, in microseconds
/// (generic cell rate algorithm).
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

impl Bucket {
    /// Takes one of `most` tokens, which come back in the time `per`; if there is none, says when
    /// there will be one.
    fn take(&self, most: u32, per: Duration, now: Duration) -> Result<(), Duration> {
        let mut wait = 0;
        let take = |full_at| {
            let (next, missing) = after_one(full_at, most, per, now);
            wait = missing;
            (missing == 0).then_some(next)
        };
        match self.0.fetch_update(Relaxed, Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(Duration::from_micros(wait)),
        }
    }
}

/// When a bucket will be full after one more token is taken, and how long that has to wait.
fn after_one(full_at: u64, most: u32, per: Duration, now: Duration) -> (u64, u64) {
    let (now, per) = (now.as_micros() as u64, per.as_micros() as u64);
    let next = full_at.max(now) + (per / u64::from(most.max(1))).max(1);
    (next, next.saturating_sub(now + per))
}

/// The rates of addresses.
#[derive(Debug)]
struct Sources {
    rate: SourceRate,
    sets: Box<[Mutex<[Source; WAYS]>]>,
    /// Keyed anew in each process, so that nobody can choose addresses that meet in one set.
    hash: RandomState,
}

#[derive(Debug, Clone, Copy, Default)]
struct Source {
    key: u64,
    full_at: u64,
}

impl Sources {
    fn new(rate: SourceRate) -> Self {
        Self {
            rate,
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
            hash: RandomState::new(),
        }
    }

    fn admit(&self, client: IpAddr, now: Duration) -> bool {
        let key = self.hash.hash_one(group(client));
        let mut set = self.sets[key as usize % SETS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|source| source.key == key);
        // Else the one whose bucket is full first, of which the least is forgotten.
        let oldest = || (0..WAYS).min_by_key(|&way| set[way].full_at).unwrap_or(0);
        let way = known.unwrap_or_else(oldest);
        let full_at = if known.is_some() { set[way].full_at } else { 0 };
        let (next, missing) = after_one(full_at, self.rate.sessions, self.rate.per, now);
        let admitted = missing == 0;
        if admitted {
            set[way] = Source { key, full_at: next };
        }
        admitted
    }
}

/// Whose rate it is: one address, of IPv6 the network of 64 bits that one customer has.
fn group(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(six) => {
            let network = six.to_bits() & !u128::from(u64::MAX);
            std::net::Ipv6Addr::from_bits(network).into()
        }
        four @ IpAddr::V4(_) => four,
    }
}

/// A guard and what it counts, which a frontend keeps through reloads as far as they are the same.
#[derive(Debug, Clone)]
pub struct Door {
    /// Whom it lets in.
    pub guard: Arc<Guard>,
    /// Whom it did not.
    pub refusals: Arc<Refusals>,
}

impl Door {
    /// One that nobody has come to yet.
    pub fn new(limits: &ClientLimits, workers: usize) -> Self {
        Self {
            guard: Arc::new(Guard::new(limits)),
            refusals: Arc::new(Refusals::new(workers)),
        }
    }

    /// The same under other limits: what was counted stays, and rates that are the same go on.
    #[must_use]
    pub fn reconfigured(&self, limits: &ClientLimits) -> Self {
        let guard = if self.guard.limits == *limits {
            Arc::clone(&self.guard)
        } else {
            Arc::new(Guard::new(limits))
        };
        Self {
            guard,
            refusals: Arc::clone(&self.refusals),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::{Networks, network};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_bucket_gives_its_tokens_and_then_one_at_a_time() {
        let bucket = Bucket::default();
        let take = |at| bucket.take(4, MS(1000), MS(at));
        assert_eq!([0; 4].map(take), [Ok(()); 4]);
        assert_eq!(take(0), Err(MS(250)));
        assert_eq!(take(249), Err(MS(1)));
        assert_eq!([250, 250].map(take), [Ok(()), Err(MS(250))]);
        // It never holds more than its tokens.
        assert_eq!([9000; 4].map(take), [Ok(()); 4]);
        assert_eq!(take(9000), Err(MS(250)));
    }

    #[test]
    fn each_address_has_its_own_rate() {
        let sources = Sources::new(SourceRate {
            sessions: 2,
            per: MS(1000),
        });
        let admit = |client: &str, at| sources.admit(client.parse().unwrap(), MS(at));
        assert_eq!(
            [0, 0, 0].map(|at| admit("192.0.2.1", at)),
            [true, true, false]
        );
        assert!(admit("::ffff:192.0.2.2", 0));
        assert!(!admit("::ffff:192.0.2.1", 400));
        assert!(admit("192.0.2.1", 500));
        // One customer's network of IPv6.
        assert!(admit("2001:db8::1", 0) && admit("2001:db8::2", 0) && !admit("2001:db8::3", 0));
        assert!(admit("2001:db8:0:1::1", 0));
    }

    /// A flood from everywhere takes no more memory, and those who are over their rate stay so:
    /// what is forgotten first is what has the least to answer for.
    #[test]
    fn a_flood_of_addresses_is_bounded() {
        let sources = Sources::new(SourceRate {
            sessions: 4,
            per: Duration::from_secs(100),
        });
        let greedy: IpAddr = "192.0.2.1".parse().unwrap();
        while sources.admit(greedy, MS(0)) {}
        for address in 0..200_000_u32 {
            assert!(sources.admit(std::net::Ipv4Addr::from_bits(address).into(), MS(1)));
        }
        assert!(!sources.admit(greedy, MS(2)));
    }

    #[test]
    fn who_is_denied_and_who_is_not_allowed() {
        let set = |word: &str| Networks::new([network(word).unwrap()]);
        let limits = ClientLimits {
            allow: Some(set("10.0.0.0/8")),
            deny: set("10.1.0.0/16"),
            ..ClientLimits::default()
        };
        let guard = Guard::new(&limits);
        let judge = |client: &str, told| guard.judge(client.parse().unwrap(), told);
        assert_eq!(judge("10.2.0.1", false), None);
        assert_eq!(judge("10.1.0.1", false), Some(Refusal::Address));
        assert_eq!(judge("192.0.2.1", true), Some(Refusal::ToldAddress));
        assert_eq!(
            Guard::new(&ClientLimits::default()).judge("::".parse().unwrap(), false),
            None
        );
    }
}

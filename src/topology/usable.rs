//! Which of a backend's servers get new sessions, as one immutable snapshot.
//!
//! The supervisor computes a new one whenever a server's state changes; workers, the stats page
//! and rules read it.
//!
//! Servers stand in tiers, and the first tier with enough usable servers gets all sessions.
//! HAProxy's rules (configuration.txt: "backup", "option allbackups", "nbsrv"; `src/backend.c`,
//! `be_usable_srv`) are the case in which primaries are tier 0 and the backups are either one
//! tier together (`allbackups`) or a tier each (first backup).

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::balance::{Algorithm, Order};

/// What decides a server's part in its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// May get new sessions: up or unchecked, with an address.
    pub up: bool,
    /// Up, but used only when no other server is: it has to prove itself first.
    pub held: bool,
    /// Declared as a backup.
    pub backup: bool,
    /// Lower tiers come first.
    pub tier: u32,
    /// In the preferred zone, or the backend prefers none.
    pub local: bool,
    /// Share of sessions; 0 keeps new sessions away.
    pub weight: u16,
    /// The same once the server has started, should it be starting slowly.
    pub full_weight: u16,
}

impl Candidate {
    fn usable(self) -> bool {
        self.up && self.weight > 0
    }

    fn ready(self) -> bool {
        self.usable() && !self.held
    }
}

/// A backend's own say in which of its servers are used.
#[derive(Debug, Default)]
pub struct Policy {
    /// How many servers of a tier have to be usable for it to be used, by tier; 1 where missing.
    pub min_up: Vec<u32>,
    /// How many servers of the preferred zone have to be usable for the others to be left out.
    pub zone_min_up: u32,
    /// Balance over all backups instead of using the first.
    pub allbackups: bool,
    /// How a server is chosen among those in use.
    pub balance: Algorithm,
}

impl Policy {
    fn min_up(&self, tier: u32) -> usize {
        self.min_up
            .get(tier as usize)
            .map_or(1, |&count| count.max(1) as usize)
    }
}

/// Which servers a backend uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The usable primaries, or of a backend with tiers those of tier 0.
    Primaries,
    /// The first usable backup in declaration order.
    FirstBackup,
    /// All usable backups.
    AllBackups,
    /// Those of a tier after the first.
    Tier(u32),
    /// There is no usable server.
    Nothing,
}

/// Where balancing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// Which servers are in use.
    pub mode: Mode,
    /// The position of the next one.
    pub next: u32,
}

/// The servers of a backend that get new sessions.
#[derive(Debug)]
pub struct UsableSet {
    mode: Mode,
    /// Positions of the servers in use, in declaration order.
    in_use: Box<[u32]>,
    /// Usable servers that are not in use, in the order in which they are tried when every
    /// server in use has just failed.
    reserve: Box<[u32]>,
    usable_primaries: u32,
    usable_backups: u32,
    order: Order,
}

impl UsableSet {
    /// The set for `servers` in declaration order.
    ///
    /// `resume` is of the set that this one replaces: while the mode stays, balancing goes on
    /// where it was.
    pub fn compute(servers: &[Candidate], policy: &Policy, resume: Option<Resume>) -> Self {
        let tier = chosen_tier(servers, policy);
        let (in_use, reserve) = divide(servers, policy, tier);
        let mode = mode(servers, policy, tier, &in_use);
        let resume = resume.filter(|resume| resume.mode == mode);
        let resume_at = resume.map_or(0, |resume| resume.next);
        let weighted: Vec<_> = in_use
            .iter()
            .map(|&position| (position, servers[position as usize].weight))
            .collect();
        let full: Vec<_> = servers.iter().map(|server| server.full_weight).collect();
        let ready = |backup| {
            servers
                .iter()
                .filter(|s| s.ready() && s.backup == backup)
                .count()
        };
        Self {
            mode,
            in_use: in_use.into(),
            reserve: reserve.into(),
            usable_primaries: ready(false) as u32,
            usable_backups: ready(true) as u32,
            order: policy.balance.order(&weighted, &full, resume_at),
        }
    }

    /// Where balancing stands; `None` if no server is in use.
    pub fn resume(&self) -> Option<Resume> {
        let mode = self.mode;
        self.order.resume_at().map(|next| Resume { mode, next })
    }

    /// Which servers are in use.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Positions of the servers in use, in declaration order.
    pub fn in_use(&self) -> &[u32] {
        &self.in_use
    }

    /// How many primaries are usable.
    pub fn usable_primaries(&self) -> u32 {
        self.usable_primaries
    }

    /// How many backups are usable, in use or not.
    pub fn usable_backups(&self) -> u32 {
        self.usable_backups
    }

    /// How many servers are usable and not on probation.
    pub fn ready(&self) -> u32 {
        self.usable_primaries + self.usable_backups
    }

    /// What `nbsrv` says: the servers in use.
    pub fn nbsrv(&self) -> u32 {
        self.in_use.len() as u32
    }

    /// The server for a new session of `client`.
    #[inline]
    pub fn first(&self, client: IpAddr) -> Option<u32> {
        self.order.next(client)
    }

    /// The first of those in use that `fit` for a new session of `client`.
    pub fn first_that(&self, client: IpAddr, fits: impl Fn(u32) -> bool) -> Option<u32> {
        self.order.next_that(client, fits)
    }

    /// The server for another attempt of a session of `client` that failed to connect to all of
    /// `tried`: one in use that was not tried, then a backup that was not tried.
    ///
    /// With `last` a backup comes first, so that a session's last attempt is not spent on one
    /// more of many dead primaries.
    pub fn next(&self, client: IpAddr, tried: &[u32], last: bool) -> Option<u32> {
        let fresh = |position: u32| !tried.contains(&position);
        let reserve = self.reserve.iter().copied().find(|&p| fresh(p));
        if last && reserve.is_some() {
            return reserve;
        }
        if self.is_any_in_use(fresh) {
            self.order.next_that(client, fresh)
        } else {
            reserve
        }
    }

    /// The server with room for a session of `client` that failed to connect to all of `tried`:
    /// one in use that it has not tried; if it has tried them all a backup that it has not tried;
    /// if it has tried every server, one in use.
    pub fn next_with_room(
        &self,
        client: IpAddr,
        tried: &[u32],
        has_room: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let fresh = |position: u32| !tried.contains(&position);
        let tried_all_in_use = !self.is_any_in_use(fresh);
        if tried_all_in_use && self.reserve.iter().any(|&p| fresh(p)) {
            let mut reserve = self.reserve.iter().copied();
            return reserve.find(|&p| fresh(p) && has_room(p));
        }
        let fits = |position| (tried_all_in_use || fresh(position)) && has_room(position);
        // Nobody's turn is taken in vain.
        self.is_any_in_use(fits)
            .then(|| self.order.next_that(client, fits))?
    }

    fn is_any_in_use(&self, fits: impl Fn(u32) -> bool) -> bool {
        self.in_use.iter().any(|&position| fits(position))
    }
}

/// The tier that gets sessions: the first with enough servers; if none has enough, the first
/// with any; if all that are up are held, the first with one of those.
fn chosen_tier(servers: &[Candidate], policy: &Policy) -> Option<u32> {
    let mut ready = BTreeMap::new();
    for server in servers.iter().filter(|server| server.usable()) {
        *ready.entry(server.tier).or_insert(0) += usize::from(server.ready());
    }
    let first = |enough: &dyn Fn(u32, usize) -> bool| {
        ready
            .iter()
            .find(|&(&tier, &count)| enough(tier, count))
            .map(|(&tier, _)| tier)
    };
    first(&|tier, count| count >= policy.min_up(tier))
        .or_else(|| first(&|_, count| count > 0))
        .or_else(|| first(&|_, _| true))
}

/// The servers in use, and the others that could be, in the order in which to try them.
fn divide(servers: &[Candidate], policy: &Policy, tier: Option<u32>) -> (Vec<u32>, Vec<u32>) {
    let Some(tier) = tier else {
        return (Vec::new(), Vec::new());
    };
    let all = (0..servers.len() as u32).filter(|&p| servers[p as usize].usable());
    let of = |position: &u32| servers[*position as usize];
    let any_ready = servers.iter().any(|s| s.ready());
    let (mut in_use, mut reserve): (Vec<_>, Vec<_>) =
        all.partition(|p| of(p).tier == tier && (of(p).ready() || !any_ready));
    let local = in_use.iter().filter(|p| of(p).local).count();
    if local > 0 && local >= policy.zone_min_up as usize {
        let (near, far): (Vec<_>, Vec<_>) = in_use.into_iter().partition(|p| of(p).local);
        in_use = near;
        reserve.extend(far);
    }
    // The rest of this tier, then the later ones, then those that lack servers; held ones last.
    reserve.sort_by_key(|p| {
        let server = of(p);
        (
            server.held,
            server.tier < tier,
            server.tier,
            !server.local,
            *p,
        )
    });
    (in_use, reserve)
}

fn mode(servers: &[Candidate], policy: &Policy, tier: Option<u32>, in_use: &[u32]) -> Mode {
    let backup = in_use
        .first()
        .is_some_and(|&position| servers[position as usize].backup);
    match tier {
        None => Mode::Nothing,
        Some(_) if backup && policy.allbackups => Mode::AllBackups,
        Some(_) if backup => Mode::FirstBackup,
        Some(0) => Mode::Primaries,
        Some(tier) => Mode::Tier(tier),
    }
}

#[cfg(test)]
mod tests;

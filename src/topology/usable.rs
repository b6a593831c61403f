//! Which of a backend's servers get new sessions, as one immutable snapshot.
//!
//! The supervisor computes a new one whenever a server's state changes; workers, the stats page
//! and rules read it. The rules are `HAProxy`'s (configuration.txt: "backup", "option allbackups",
//! "nbsrv"; `src/backend.c`, `be_usable_srv`).

use crate::balance::RoundRobin;

/// What decides a server's part in its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// May get new sessions: up or unchecked, with an address.
    pub up: bool,
    /// Used only when no primary is usable.
    pub backup: bool,
    /// 0 keeps new sessions away.
    pub weight: u16,
}

impl Candidate {
    fn usable(self) -> bool {
        self.up && self.weight > 0
    }
}

/// Which servers a backend uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The usable primaries.
    Primaries,
    /// The first usable backup in declaration order.
    FirstBackup,
    /// All usable backups.
    AllBackups,
    /// There is no usable server.
    Nothing,
}

/// The servers of a backend that get new sessions.
#[derive(Debug)]
pub struct UsableSet {
    mode: Mode,
    /// Positions of the servers in use, in declaration order.
    in_use: Box<[u32]>,
    /// Usable backups that are not in use, in declaration order: what is left to try when every
    /// server in use has just failed.
    reserve: Box<[u32]>,
    usable_primaries: u32,
    usable_backups: u32,
    order: RoundRobin,
}

impl UsableSet {
    /// The set for `servers` in declaration order.
    ///
    /// `previous` is the set that this one replaces: while the mode stays, balancing goes on
    /// where it was.
    pub fn compute(servers: &[Candidate], allbackups: bool, previous: Option<&Self>) -> Self {
        let usable = |backup: bool| {
            servers
                .iter()
                .zip(0..)
                .filter(move |(server, _)| server.usable() && server.backup == backup)
                .map(|(_, position)| position)
                .collect::<Vec<u32>>()
        };
        let (primaries, mut backups) = (usable(false), usable(true));
        let (usable_primaries, usable_backups) = (primaries.len() as u32, backups.len() as u32);
        let (mode, in_use, reserve) = match (primaries.is_empty(), backups.is_empty()) {
            (false, _) => (Mode::Primaries, primaries, backups),
            (true, true) => (Mode::Nothing, Vec::new(), Vec::new()),
            (true, false) if allbackups => (Mode::AllBackups, backups, Vec::new()),
            (true, false) => {
                let others = backups.split_off(1);
                (Mode::FirstBackup, backups, others)
            }
        };
        let resume_at = previous
            .filter(|previous| previous.mode == mode)
            .and_then(|previous| previous.order.peek())
            .unwrap_or(0);
        let weighted: Vec<_> = in_use
            .iter()
            .map(|&position| (position, servers[position as usize].weight))
            .collect();
        Self {
            mode,
            in_use: in_use.into(),
            reserve: reserve.into(),
            usable_primaries,
            usable_backups,
            order: RoundRobin::new(&weighted, resume_at),
        }
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

    /// What `nbsrv` says: the servers in use.
    pub fn nbsrv(&self) -> u32 {
        self.in_use.len() as u32
    }

    /// The server for a new session.
    pub fn first(&self) -> Option<u32> {
        self.order.next()
    }

    /// The server for another attempt of a session that failed to connect to all of `tried`:
    /// one in use that was not tried, then a backup that was not tried.
    ///
    /// With `last` a backup comes first, so that a session's last attempt is not spent on one
    /// more of many dead primaries.
    pub fn next(&self, tried: &[u32], last: bool) -> Option<u32> {
        let fresh = |position: &u32| !tried.contains(position);
        let reserve = self.reserve.iter().copied().find(fresh);
        if last && reserve.is_some() {
            return reserve;
        }
        let balanced = || {
            (0..self.in_use.len())
                .map_while(|_| self.order.next())
                .find(fresh)
        };
        // With unequal weights one turn's worth of choices may miss a server.
        let remaining = || self.in_use.iter().copied().find(fresh);
        if self.in_use.iter().any(fresh) {
            balanced().or_else(remaining)
        } else {
            reserve
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn primary(up: bool) -> Candidate {
        Candidate {
            up,
            backup: false,
            weight: 1,
        }
    }

    fn backup(up: bool) -> Candidate {
        Candidate {
            up,
            backup: true,
            weight: 1,
        }
    }

    fn firsts(set: &UsableSet, count: usize) -> Vec<u32> {
        (0..count).map_while(|_| set.first()).collect()
    }

    #[test]
    fn primaries_keep_backups_out() {
        let set = UsableSet::compute(&[primary(true), primary(true), backup(true)], true, None);
        assert_eq!(set.mode(), Mode::Primaries);
        assert_eq!(firsts(&set, 4), [0, 1, 0, 1]);
        assert_eq!((set.nbsrv(), set.usable_backups()), (2, 1));
    }

    #[test]
    fn the_first_usable_backup_takes_everything() {
        let servers = [primary(false), backup(false), backup(true), backup(true)];
        let set = UsableSet::compute(&servers, false, None);
        assert_eq!(set.mode(), Mode::FirstBackup);
        assert_eq!(firsts(&set, 3), [2, 2, 2]);
        assert_eq!(set.nbsrv(), 1, "nbsrv counts one in first-backup mode");
        assert_eq!(set.next(&[2], false), Some(3));
    }

    #[test]
    fn allbackups_balances_over_every_usable_backup() {
        let set = UsableSet::compute(&[primary(false), backup(true), backup(true)], true, None);
        assert_eq!(set.mode(), Mode::AllBackups);
        assert_eq!(firsts(&set, 4), [1, 2, 1, 2]);
        assert_eq!(set.nbsrv(), 2);
    }

    #[test]
    fn nothing_is_usable() {
        let set = UsableSet::compute(&[primary(false), backup(false)], false, None);
        assert_eq!(
            (set.mode(), set.nbsrv(), set.first()),
            (Mode::Nothing, 0, None)
        );
        assert_eq!(set.next(&[], true), None);
    }

    #[test]
    fn weight_zero_is_not_usable() {
        let drained = Candidate {
            up: true,
            backup: false,
            weight: 0,
        };
        let set = UsableSet::compute(&[drained, backup(true)], false, None);
        assert_eq!(firsts(&set, 2), [1, 1]);
    }

    #[test]
    fn another_attempt_goes_to_the_other_primaries_and_then_to_backups() {
        let set = UsableSet::compute(&[primary(true), primary(true), backup(true)], false, None);
        assert_eq!(set.next(&[0], false), Some(1));
        assert_eq!(set.next(&[0, 1], false), Some(2));
        assert_eq!(set.next(&[0, 1, 2], false), None);
    }

    #[test]
    fn the_last_attempt_prefers_a_backup() {
        let servers: Vec<_> = (0..8)
            .map(|_| primary(true))
            .chain([backup(true)])
            .collect();
        let set = UsableSet::compute(&servers, false, None);
        assert_eq!(set.next(&[0, 1, 2], true), Some(8));
        assert_ne!(set.next(&[0, 1, 2], false), Some(8));
    }

    #[test]
    fn balancing_goes_on_when_a_server_leaves() {
        let all = [primary(true), primary(true), primary(true)];
        let before = UsableSet::compute(&all, false, None);
        assert_eq!(firsts(&before, 1), [0]);
        let fewer = [primary(true), primary(false), primary(true)];
        let after = UsableSet::compute(&fewer, false, Some(&before));
        assert_eq!(firsts(&after, 3), [2, 0, 2]);
    }

    proptest! {
        #[test]
        fn never_an_unusable_server_nor_a_backup_beside_a_primary(
            servers in prop::collection::vec(
                (any::<bool>(), any::<bool>(), 0u16..3)
                    .prop_map(|(up, backup, weight)| Candidate { up, backup, weight }),
                1..12,
            ),
            allbackups: bool,
            tried in prop::collection::vec(0u32..12, 0..6),
            last: bool,
        ) {
            let set = UsableSet::compute(&servers, allbackups, None);
            let any_primary = servers.iter().any(|s| s.usable() && !s.backup);
            prop_assert_eq!(set.first().is_some(), servers.iter().any(|s| s.usable()));
            if let Some(first) = set.first() {
                let server = servers[first as usize];
                prop_assert!(server.usable());
                prop_assert_eq!(server.backup, !any_primary);
            }
            let untried = (0..servers.len() as u32)
                .any(|p| servers[p as usize].usable() && !tried.contains(&p));
            let next = set.next(&tried, last);
            prop_assert_eq!(next.is_some(), untried, "somebody untried is found if there is one");
            if let Some(next) = next {
                prop_assert!(servers[next as usize].usable() && !tried.contains(&next));
            }
        }
    }
}

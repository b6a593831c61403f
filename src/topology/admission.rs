//! How many sessions the process and its frontends may have, and what the process was short of.
//!
//! A session is admitted or its connection is left waiting: accepted connections that nobody can
//! serve would only be closed again. What has been accepted just before a limit was reached is
//! held by its accept loop, one at a time, and everything behind it stays in the kernel's queue
//! (as in configuration.txt, "maxconn").

use std::pin::pin;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use crossbeam_utils::CachePadded;
use tokio::sync::Notify;

use super::Frontend;

/// What accept loops wait on while there is no room.
#[derive(Debug, Default)]
struct Room {
    waiting: AtomicU32,
    freed: Notify,
}

impl Room {
    /// Says that there may be room. Costs one look when nobody waits.
    fn tell(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    /// Waits until somebody says that there may be room, unless `enough` says that there is.
    async fn wait_unless(&self, enough: impl FnOnce() -> bool) {
        let _counted = Waiting::new(&self.waiting);
        let mut freed = pin!(self.freed.notified());
        freed.as_mut().enable();
        if !enough() {
            freed.await;
        }
    }
}

/// A limit that can be changed, and what those wait on that it keeps out.
#[derive(Debug)]
pub(super) struct Limit {
    most: AtomicU32,
    room: Room,
}

impl Limit {
    pub(super) fn new(most: u32) -> Self {
        Self {
            most: AtomicU32::new(most),
            room: Room::default(),
        }
    }

    pub(super) fn most(&self) -> u32 {
        self.most.load(Relaxed)
    }

    pub(super) fn set(&self, most: u32) {
        self.most.store(most, SeqCst);
        self.room.freed.notify_waiters();
    }
}

/// One that waits, counted while it lives.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// What the process itself can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Descriptors, its own or the system's.
    Descriptors,
    /// Local ports towards a server.
    Ports,
    /// The system's memory for sockets.
    Memory,
}

impl Resource {
    /// Every one, in the order of the enum.
    pub const ALL: [Self; 3] = [Self::Descriptors, Self::Ports, Self::Memory];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Ports => "ports",
            Self::Memory => "memory",
        }
    }
}

/// The sessions of the whole process. It outlives every topology.
#[derive(Debug)]
pub struct Admission {
    limit: Limit,
    /// What `maxconn` cannot be raised above.
    hard_maxconn: u32,
    open: CachePadded<AtomicU32>,
    shortages: [AtomicU64; Resource::ALL.len()],
}

/// A session's leave to begin.
#[derive(Debug)]
#[must_use]
pub struct Admitted {
    /// Whether its place among the frontend's sessions is reserved.
    pub reserved: bool,
}

/// What a session found full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Frontend,
    Process,
}

impl Admission {
    /// Nobody admitted yet; at most `maxconn` sessions will be, and at most `hard_maxconn`
    /// whatever somebody sets later.
    pub fn new(maxconn: u32, hard_maxconn: u32) -> Self {
        Self {
            limit: Limit::new(maxconn),
            hard_maxconn,
            open: CachePadded::default(),
            shortages: Default::default(),
        }
    }

    /// No limit that anybody will reach.
    pub fn unlimited() -> Self {
        Self::new(u32::MAX, u32::MAX)
    }

    /// The most sessions that the process may have.
    pub fn maxconn(&self) -> u32 {
        self.limit.most()
    }

    /// What the descriptors are enough for.
    pub fn hard_maxconn(&self) -> u32 {
        self.hard_maxconn
    }

    /// Sessions open now.
    pub fn open(&self) -> u32 {
        self.open.load(Relaxed)
    }

    /// Sets the most sessions that the process may have, no higher than the descriptors allow.
    /// Open ones go on. Only the supervisor calls this.
    pub fn set_maxconn(&self, most: u32) {
        self.limit.set(most.min(self.hard_maxconn));
    }

    /// Admits a session of `frontend` once there is room, which is counted until
    /// [`Admission::leave`].
    pub async fn admit(&self, frontend: &Frontend) -> Admitted {
        let mut told = false;
        loop {
            let full = match self.try_admit(frontend) {
                Ok(admitted) => return admitted,
                Err(full) => full,
            };
            if told && full == Full::Frontend {
                // What this one cannot use may be of use to another frontend.
                self.limit.room.tell();
            }
            told = full == Full::Process;
            let mut admitted = None;
            let room = match full {
                Full::Frontend => &frontend.limit.room,
                Full::Process => &self.limit.room,
            };
            // Room may have come before anybody could know that somebody waits.
            room.wait_unless(|| {
                admitted = self.admit_now(frontend);
                admitted.is_some()
            })
            .await;
            if let Some(admitted) = admitted {
                return admitted;
            }
        }
    }

    /// Admits a session of `frontend` if there is room.
    pub fn admit_now(&self, frontend: &Frontend) -> Option<Admitted> {
        self.try_admit(frontend).ok()
    }

    fn try_admit(&self, frontend: &Frontend) -> Result<Admitted, Full> {
        let most = frontend.maxconn();
        let reserved = most > 0;
        if reserved && !frontend.counters.reserve(most) {
            return Err(Full::Frontend);
        }
        let maxconn = self.maxconn();
        let room = |open| (open < maxconn).then(|| open + 1);
        if self.open.fetch_update(SeqCst, SeqCst, room).is_err() {
            if reserved {
                frontend.counters.give_back();
                frontend.limit.room.tell();
            }
            return Err(Full::Process);
        }
        Ok(Admitted { reserved })
    }

    /// Ends what an admission began, once the frontend does not count the session any more.
    pub fn leave(&self, frontend: &Frontend) {
        self.open.fetch_sub(1, SeqCst);
        frontend.limit.room.tell();
        self.limit.room.tell();
    }

    /// Undoes an admission to `frontend` that no session has begun with.
    pub fn undo(&self, frontend: &Frontend, admitted: &Admitted) {
        if admitted.reserved {
            frontend.counters.give_back();
        }
        self.leave(frontend);
    }

    /// Takes note that the process was short of something.
    pub fn short_of(&self, resource: Resource) {
        self.shortages[resource as usize].fetch_add(1, Relaxed);
    }

    /// How often the process was short of something.
    pub fn shortages(&self, resource: Resource) -> u64 {
        self.shortages[resource as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::topology::sample::farms;

    fn enter(frontend: &Frontend, admitted: &Admitted) {
        if admitted.reserved {
            frontend.counters.enter_reserved(0, 0);
        } else {
            frontend.counters.enter(0, 0);
        }
    }

    fn leave(process: &Admission, frontend: &Frontend) {
        frontend.counters.leave();
        process.leave(frontend);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_waits_until_one_has_ended() {
        let topology = farms();
        let frontend = &topology.frontends[0];
        for (process, maxconn) in [(Admission::new(2, 2), 0), (Admission::new(9, 9), 2)] {
            frontend.set_maxconn(maxconn);
            for _ in 0..2 {
                enter(frontend, &process.admit(frontend).await);
            }
            let mut third = pin!(process.admit(frontend));
            let waited = tokio::time::timeout(Duration::from_secs(1), &mut third).await;
            assert!(waited.is_err());
            leave(&process, frontend);
            enter(frontend, &third.await);
            assert_eq!((process.open(), frontend.counters.open()), (2, 2));
            (0..2).for_each(|_| leave(&process, frontend));
            assert_eq!((process.open(), frontend.counters.open()), (0, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_gives_up_waiting_does_not_keep_the_place() {
        let topology = farms();
        let frontend = &topology.frontends[0];
        frontend.set_maxconn(1);
        let process = Admission::unlimited();
        enter(frontend, &process.admit_now(frontend).unwrap());
        let impatient = tokio::time::timeout(Duration::from_secs(1), process.admit(frontend));
        assert!(impatient.await.is_err());
        leave(&process, frontend);
        enter(frontend, &process.admit(frontend).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_raised_limit_lets_those_in_that_wait() {
        let topology = farms();
        let frontend = &topology.frontends[0];
        let process = Admission::new(0, 5);
        let mut waiting = pin!(process.admit(frontend));
        let waited = tokio::time::timeout(Duration::from_secs(1), &mut waiting).await;
        assert!(waited.is_err());
        process.set_maxconn(7);
        enter(frontend, &waiting.await);
        assert_eq!(process.maxconn(), 5);
    }
}

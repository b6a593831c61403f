//! The program's own code under a random history, in time that passes only here.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstop::config::Config;
use backstop::id::ServerId;
use backstop::supervisor::recovery::probation;
use backstop::topology::status::{Hold, State};
use backstop::topology::{Server, Topology};

use super::model::{Model, ServerModel};
use super::random::Random;
use super::scene::{BackendScene, Millis, Scene, ServerScene};

/// How long things go wrong.
const TROUBLE: Millis = 45_000;

/// How long things go well after that: more than the longest probation and slow start.
const RECOVERY: Millis = 60_000;

/// What happens at some moment.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A check of the server finishes.
    Check(ServerId),
    /// The server dies, or lives again.
    Toggle(ServerId),
    /// Traffic finds the server silent.
    Silence(ServerId),
    /// The server's name resolves.
    Name(ServerId),
    /// A probation would end.
    Release(ServerId, Hold),
    /// A slow start, begun then, goes on.
    Ramp(ServerId, Instant),
}

/// One history as it unfolds.
pub(super) struct World<'s> {
    pub(super) scene: &'s Scene,
    pub(super) random: Random,
    pub(super) topology: Topology,
    pub(super) model: Model,
    pub(super) alive: Vec<Vec<bool>>,
    /// Servers that were checked.
    checked_once: HashSet<ServerId>,
    start: Instant,
    pub(super) now: Millis,
    /// By moment, then in the order in which they were planned.
    planned: BTreeMap<(Millis, u64), Event>,
    plans: u64,
}

impl<'s> World<'s> {
    /// `config` says the same as `scene`.
    pub(super) fn new(scene: &'s Scene, config: &Config, random: Random) -> Self {
        let start = Instant::now();
        let backends = scene.backends.iter();
        Self {
            scene,
            random,
            topology: Topology::build(config, 1, start),
            model: Model::new(scene),
            alive: backends
                .map(|backend| vec![true; backend.servers.len()])
                .collect(),
            checked_once: HashSet::new(),
            start,
            now: 0,
            planned: BTreeMap::new(),
            plans: 0,
        }
    }

    /// Plays the history and holds what is found against what should be.
    pub(super) fn play(&mut self) {
        self.begin();
        self.play_until(TROUBLE);
        self.mend();
        self.play_until(TROUBLE + RECOVERY);
        self.verify_recovery();
    }

    fn begin(&mut self) {
        for id in self.ids() {
            let server = self.server_scene(id);
            match server.name_found {
                None => self.find_name(id),
                Some(at) => {
                    self.plan(at, Event::Name(id));
                    self.lose_name(id);
                }
            }
            if server.checked {
                let first = self.random.number(0, 1_000);
                self.plan(first, Event::Check(id));
            }
            // Some servers hardly ever fail, others come and go.
            let pace = self.random.one_of(&[200_000, 30_000, 6_000]);
            let mut at = self.random.number(0, pace);
            while at < TROUBLE {
                self.plan(at, Event::Toggle(id));
                at += self.random.number(100, pace);
            }
            if self.backend_scene(id).silence && server.checked && self.random.percent(20) {
                let at = self.random.number(0, TROUBLE);
                self.plan(at, Event::Silence(id));
            }
        }
        self.verify();
    }

    fn play_until(&mut self, end: Millis) {
        while let Some(entry) = self.planned.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    fn mend(&mut self) {
        for alive in self.alive.iter_mut().flatten() {
            *alive = true;
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Toggle(id) => {
                let alive = &mut self.alive[id.backend.index()][id.index()];
                *alive = !*alive;
                // The proxy does not know yet; sessions are sent there all the same.
                self.verify_sessions(id.backend.index());
            }
            Event::Check(id) => self.check(id),
            Event::Silence(id) => {
                let now = self.now;
                self.model_of(id).fell_silent(now);
                self.server(id).update(|status| status.was_silent = true);
                self.mark_down(id);
            }
            Event::Name(id) => self.find_name(id),
            Event::Release(id, hold) => self.release(id, hold),
            Event::Ramp(id, began) => self.ramp(id, began),
        }
    }

    /// As the supervisor takes a check's result.
    fn check(&mut self, id: ServerId) {
        let server = self.server(id);
        let noise = self.random.percent(2);
        let alive = self.alive[id.backend.index()][id.index()] && server.address().is_some();
        let passed = alive && !(noise && self.now < TROUBLE);
        let first = self.checked_once.insert(id);
        let starting = first && !passed && self.server_scene(id).init == "known";
        let up = server.update(|status| {
            if !passed && matches!(status.state, State::Up | State::Drain) {
                status.failed_checks += 1;
            }
            let health = status.check.as_mut().unwrap();
            health.record(passed);
            let up = health.is_up();
            if starting {
                // It may be starting together with the proxy.
                health.health = health.rise - 1;
            }
            up
        });
        let (scene, now) = (self.backend_scene(id), self.now);
        let flips = self.model_of(id).checked(scene, passed, now);
        if starting {
            self.model_of(id).needs_one_pass(scene);
        }
        assert_eq!(up, self.model_of(id).up, "{} after a check", server.path);
        assert_eq!(self.settle(id), flips);
        let health = server.status().check.unwrap();
        let interval = health.interval(server.config.check.as_ref().unwrap());
        assert_eq!(
            interval.as_millis() as Millis,
            self.model_of(id).interval(scene)
        );
        self.plan(now + interval.as_millis() as Millis, Event::Check(id));
    }

    fn mark_down(&mut self, id: ServerId) {
        self.server(id).update(|status| {
            if let Some(health) = &mut status.check {
                health.health = 0;
            }
        });
        self.settle(id);
    }

    fn lose_name(&mut self, id: ServerId) {
        self.server(id).update(|status| status.unresolved = true);
        self.model_of(id).turn(false, 0);
        self.mark_down(id);
    }

    fn find_name(&mut self, id: ServerId) {
        let (server, now) = (self.server(id), self.now);
        server.set_address(SocketAddr::from(([10, 0, 0, 1], 81)));
        server.update(|status| status.unresolved = false);
        self.model_of(id).has_address = true;
        if server.config.check.is_none() && !server.is_up() {
            self.model_of(id).turn(true, now);
        }
        if !self.settle(id) {
            self.recompute(id);
        }
    }

    /// As the supervisor gives a server the state that follows from what is known. Returns
    /// whether that is another one.
    fn settle(&mut self, id: ServerId) -> bool {
        let (server, now) = (self.server(id), self.instant());
        let (before, after) = server.update(|status| {
            let before = status.state;
            status.change(status.effective(), now);
            (before, status.state)
        });
        if before == after {
            return false;
        }
        if before == State::Down {
            self.recover(id);
        } else {
            self.model_of(id).held_until = None;
        }
        self.recompute(id);
        true
    }

    fn recover(&mut self, id: ServerId) {
        let (server, now) = (self.server(id), self.instant());
        let backend = self.topology.backend(id.backend);
        let hold = server.update(|status| {
            status.hold = probation(&backend.config, server.config.backup, status, now);
            status.slowstart = server.config.policy.slowstart.map(|_| now);
            status.hold
        });
        let length = hold.map_or(0, |hold| (hold.until.unwrap() - now).as_millis() as Millis);
        let (farm, scene) = (self.backend_scene(id), self.server_scene(id));
        let at = self.now;
        let wanted = self.model_of(id).probation(farm, scene, at);
        assert!(
            length.abs_diff(wanted) <= 1,
            "{length} and not {wanted}: {}",
            server.path
        );
        match hold {
            Some(hold) => {
                self.model_of(id).held_until = Some(at + length + 1);
                self.plan(at + length + 1, Event::Release(id, hold));
            }
            None => self.plan(at + self.step(id), Event::Ramp(id, now)),
        }
    }

    fn release(&mut self, id: ServerId, hold: Hold) {
        let (server, now) = (self.server(id), self.instant());
        let released = server.update(|status| {
            let ends = status.hold == Some(hold) && status.state != State::Down;
            if ends {
                status.hold = None;
                status.slowstart = server.config.policy.slowstart.map(|_| now);
            }
            ends
        });
        let over = Some(self.now);
        assert_eq!(released, self.model_of(id).held_until == over);
        if released {
            self.model_of(id).held_until = None;
            self.recompute(id);
            self.plan(self.now + self.step(id), Event::Ramp(id, now));
        }
    }

    /// A fifth of a slow start.
    fn step(&self, id: ServerId) -> Millis {
        self.backend_scene(id).slowstart.unwrap_or(0) / 5 + 1
    }

    fn ramp(&mut self, id: ServerId, began: Instant) {
        let Some(length) = self.backend_scene(id).slowstart else {
            return;
        };
        let (server, now) = (self.server(id), self.instant());
        let goes_on = server.update(|status| {
            if status.slowstart != Some(began) || status.state == State::Down {
                return false;
            }
            let goes_on = now - began < Duration::from_millis(length);
            if !goes_on {
                status.slowstart = None;
            }
            goes_on
        });
        self.recompute(id);
        if goes_on {
            self.plan(self.now + self.step(id), Event::Ramp(id, began));
        }
    }

    fn recompute(&mut self, id: ServerId) {
        self.topology.backend(id.backend).recompute(self.instant());
        self.topology.settle_rules();
        self.model.settle(self.scene);
        self.verify();
    }

    fn plan(&mut self, at: Millis, event: Event) {
        self.plans += 1;
        self.planned.insert((at, self.plans), event);
    }

    pub(super) fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    pub(super) fn ids(&self) -> Vec<ServerId> {
        self.topology.servers().map(|server| server.id).collect()
    }

    pub(super) fn server(&self, id: ServerId) -> Arc<Server> {
        Arc::clone(self.topology.server(id))
    }

    fn model_of(&mut self, id: ServerId) -> &mut ServerModel {
        &mut self.model.servers[id.backend.index()][id.index()]
    }

    fn backend_scene(&self, id: ServerId) -> &'s BackendScene {
        &self.scene.backends[id.backend.index()]
    }

    fn server_scene(&self, id: ServerId) -> &'s ServerScene {
        &self.backend_scene(id).servers[id.index()]
    }
}

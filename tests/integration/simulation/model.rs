//! What should happen, written down once more and as plainly as possible.
//!
//! The rules are those of HAProxy's documentation ("rise", "fall", "inter", "backup",
//! "option allbackups", "nbsrv") and of `docs/failover.md`; nothing here is the program's code.

use super::scene::{BackendScene, Damping, Millis, Scene, ServerScene};

/// How a server that was silent is kept away (docs/failover.md, "Silence").
const SILENCE: Damping = Damping {
    penalty: 10_000,
    max: 300_000,
    half_life: 600_000,
};

/// What should be so of one server.
pub(super) struct ServerModel {
    pub(super) up: bool,
    /// Check results in a row that speak against `up`.
    against: u32,
    pub(super) has_address: bool,
    pub(super) held_until: Option<Millis>,
    pub(super) downs: u64,
    pub(super) failed_checks: u64,
    down_since: Option<Millis>,
    past_downtime: Millis,
    silent: bool,
    /// When it came back, as far as it counts against it.
    recoveries: Vec<Millis>,
}

/// What should be so of everything.
pub(super) struct Model {
    pub(super) servers: Vec<Vec<ServerModel>>,
    /// For each rule with `until`, whether it matches.
    latched: Vec<bool>,
    /// For each backend, which servers get the next sessions.
    pub(super) in_use: Vec<Vec<u32>>,
    /// For each backend: had a server, times it lost its last one.
    pub(super) outages: Vec<(bool, u64)>,
}

impl ServerModel {
    fn new(backend: &BackendScene, server: &ServerScene) -> Self {
        let (up, against) = match server.init {
            _ if !server.checked => (true, 0),
            "fully-up" => (true, 0),
            "down" => (false, backend.rise - 1),
            "fully-down" => (false, 0),
            _ => (true, backend.fall - 1),
        };
        Self {
            up,
            against,
            has_address: false,
            held_until: None,
            downs: 0,
            failed_checks: 0,
            down_since: (!up).then_some(0),
            past_downtime: 0,
            silent: false,
            recoveries: Vec::new(),
        }
    }

    /// Takes a check's result. Returns whether the state changed.
    pub(super) fn checked(&mut self, backend: &BackendScene, passed: bool, now: Millis) -> bool {
        self.failed_checks += u64::from(self.up && !passed);
        self.against = if passed == self.up {
            0
        } else {
            self.against + 1
        };
        let limit = if self.up { backend.fall } else { backend.rise };
        let flips = self.against == limit;
        if flips {
            self.turn(!self.up, now);
        }
        flips
    }

    /// A server that was not there when the proxy started is let in on its first pass.
    pub(super) fn needs_one_pass(&mut self, backend: &BackendScene) {
        self.against = backend.rise - 1;
    }

    /// Goes down without a check, or comes up by its name.
    pub(super) fn turn(&mut self, up: bool, now: Millis) {
        self.against = 0;
        if up == self.up {
            return;
        }
        self.up = up;
        if up {
            self.past_downtime += now - self.down_since.take().unwrap_or(now);
        } else {
            self.downs += 1;
            self.down_since = Some(now);
        }
    }

    pub(super) fn fell_silent(&mut self, now: Millis) {
        self.silent = true;
        self.turn(false, now);
    }

    /// How long it is kept away when it comes up at `now`.
    pub(super) fn probation(
        &mut self,
        backend: &BackendScene,
        server: &ServerScene,
        now: Millis,
    ) -> Millis {
        let failback = backend.failback.filter(|_| !server.backup).unwrap_or(0);
        let silent = std::mem::take(&mut self.silent);
        let damping = if silent {
            Some(SILENCE)
        } else {
            backend.damping
        };
        let penalty = damping.map_or(0, |damping| self.penalty(damping, now));
        let least = if silent { SILENCE.penalty } else { 0 };
        penalty.max(least).max(failback)
    }

    /// Each recovery before this one counts one, half of that after each half-life.
    fn penalty(&mut self, damping: Damping, now: Millis) -> Millis {
        let faded = |&at: &Millis| 0.5_f64.powf((now - at) as f64 / damping.half_life as f64);
        let bounces: f64 = self.recoveries.iter().map(faded).sum();
        self.recoveries.push(now);
        if bounces < 0.5 {
            return 0;
        }
        let penalty = damping.penalty as f64 * 2_f64.powf((bounces - 1.0).max(0.0));
        (penalty as Millis).min(damping.max)
    }

    pub(super) fn downtime(&self, now: Millis) -> Millis {
        self.past_downtime + self.down_since.map_or(0, |since| now - since)
    }

    /// Until its next check.
    pub(super) fn interval(&self, backend: &BackendScene) -> Millis {
        match (self.against, self.up) {
            (0, true) => backend.interval,
            (0, false) => backend.down_interval,
            _ => backend.fast_interval,
        }
    }

    fn usable(&self, server: &ServerScene) -> bool {
        self.up && self.has_address && server.weight > 0
    }

    fn ready(&self, server: &ServerScene) -> bool {
        self.usable(server) && self.held_until.is_none()
    }
}

impl Model {
    pub(super) fn new(scene: &Scene) -> Self {
        let servers = scene.backends.iter().map(|backend| {
            let servers = backend.servers.iter();
            servers
                .map(|server| ServerModel::new(backend, server))
                .collect()
        });
        Self {
            servers: servers.collect(),
            latched: vec![false; scene.rules.len()],
            in_use: vec![Vec::new(); scene.backends.len()],
            outages: vec![(false, 0); scene.backends.len()],
        }
    }

    /// Which servers may get a session at all.
    pub(super) fn usable(&self, scene: &Scene, backend: usize) -> Vec<u32> {
        self.chosen(scene, backend, ServerModel::usable)
    }

    /// Usable servers that are not on probation.
    pub(super) fn ready(&self, scene: &Scene, backend: usize) -> Vec<u32> {
        self.chosen(scene, backend, ServerModel::ready)
    }

    fn chosen(
        &self,
        scene: &Scene,
        backend: usize,
        wanted: fn(&ServerModel, &ServerScene) -> bool,
    ) -> Vec<u32> {
        let pairs = self.servers[backend]
            .iter()
            .zip(&scene.backends[backend].servers);
        let chosen = pairs
            .zip(0..)
            .filter(|((model, server), _)| wanted(model, server));
        chosen.map(|(_, position)| position).collect()
    }

    fn choose(&self, scene: &Scene, backend: usize) -> Vec<u32> {
        let farm = &scene.backends[backend];
        let ready = self.ready(scene, backend);
        // Those on probation are better than nobody.
        let on_probation = ready.is_empty();
        let pool = if on_probation {
            self.usable(scene, backend)
        } else {
            ready
        };
        let groups = groups(farm, &pool);
        let enough = |group: &&(usize, Vec<u32>)| group.1.len() >= min_up(farm, group.0);
        let chosen = groups.iter().find(|group| !on_probation && enough(group));
        let Some((_, group)) = chosen.or(groups.first()) else {
            return Vec::new();
        };
        let Some((zone, least)) = farm.zone else {
            return group.clone();
        };
        let near = group.iter().copied();
        let near: Vec<_> = near
            .filter(|&p| farm.servers[p as usize].zone == Some(zone))
            .collect();
        if near.len() >= least {
            near
        } else {
            group.clone()
        }
    }

    /// `nbsrv` by HAProxy's words, for a backend that has nothing beyond what HAProxy has.
    pub(super) fn haproxy_nbsrv(&self, scene: &Scene, backend: usize) -> Option<usize> {
        let farm = &scene.backends[backend];
        let beyond = farm.zone.is_some()
            || !farm.min_up.is_empty()
            || farm.servers.iter().any(|server| server.tier > 0)
            || self.servers[backend]
                .iter()
                .any(|server| server.held_until.is_some());
        let usable = self.usable(scene, backend);
        let backup = |&&position: &&u32| farm.servers[position as usize].backup;
        let backups = usable.iter().filter(backup).count();
        let actives = usable.len() - backups;
        let counted = match (actives, farm.allbackups) {
            (1.., _) => actives,
            (0, true) => backups,
            (0, false) => backups.min(1),
        };
        (!beyond).then_some(counted)
    }

    /// Takes note of what follows from a change: who is used, rules that begin or end to match,
    /// and outages.
    pub(super) fn settle(&mut self, scene: &Scene) {
        for backend in 0..scene.backends.len() {
            self.in_use[backend] = self.choose(scene, backend);
        }
        let nbsrv = self.in_use[0].len();
        for (rule, latched) in scene.rules.iter().zip(&mut self.latched) {
            if let Some(come_back) = rule.come_back {
                let ends = nbsrv >= come_back;
                let begins = nbsrv <= rule.leave;
                *latched = begins || (*latched && !ends);
            }
        }
        for backend in 0..scene.backends.len() {
            let has = !self.in_use[backend].is_empty();
            let (had, lost) = self.outages[backend];
            self.outages[backend] = (has, lost + u64::from(had && !has));
        }
    }

    /// The backend that a session is sent to.
    pub(super) fn backend(&self, scene: &Scene) -> usize {
        let nbsrv = self.in_use[0].len();
        let rules = scene.rules.iter().zip(&self.latched);
        let mut matching = rules.filter(|(rule, latched)| match rule.come_back {
            Some(_) => **latched,
            None => nbsrv <= rule.leave,
        });
        matching.next().map_or(0, |(rule, _)| rule.to)
    }
}

/// The servers of `pool` in the order in which they are to be used: the primaries by tier, then
/// the backups, together or one after another. With each its tier for `min_up`.
fn groups(farm: &BackendScene, pool: &[u32]) -> Vec<(usize, Vec<u32>)> {
    let of = |position: u32| farm.servers[position as usize];
    let primaries = || farm.servers.iter().filter(|server| !server.backup);
    let last = primaries().map(|server| server.tier).max().unwrap_or(0);
    let mut groups: Vec<(usize, Vec<u32>)> = Vec::new();
    for tier in 0..=last {
        let members = pool.iter().copied();
        let members = members
            .filter(|&p| !of(p).backup && of(p).tier == tier)
            .collect();
        groups.push((tier, members));
    }
    let backups = (0..farm.servers.len() as u32).filter(|&p| of(p).backup);
    if farm.allbackups {
        groups.push((last + 1, backups.filter(|p| pool.contains(p)).collect()));
    } else {
        let one_by_one = backups.zip(last + 1..);
        groups.extend(
            one_by_one
                .map(|(p, tier)| (tier, pool.contains(&p).then_some(p).into_iter().collect())),
        );
    }
    groups.retain(|(_, members)| !members.is_empty());
    groups
}

fn min_up(farm: &BackendScene, tier: usize) -> usize {
    farm.min_up.get(tier).copied().unwrap_or(1)
}

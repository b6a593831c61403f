//! What must be so at every moment of a history, and at its end.

use std::net::IpAddr;

use super::scene::Millis;
use super::world::World;

fn client(number: u64) -> IpAddr {
    IpAddr::V4((number as u32).into())
}

impl World<'_> {
    /// Everything that can be seen is as it should be.
    pub(super) fn verify(&mut self) {
        for id in self.ids() {
            let server = self.server(id);
            let (status, model) = (
                server.status(),
                &self.model.servers[id.backend.index()][id.index()],
            );
            assert_eq!(server.is_up(), model.up, "{}", server.path);
            assert_eq!(status.downs, model.downs, "{}", server.path);
            assert_eq!(status.failed_checks, model.failed_checks, "{}", server.path);
            let downtime = status.downtime(self.instant()).as_millis() as Millis;
            assert_eq!(downtime, model.downtime(self.now), "{}", server.path);
        }
        for backend in 0..self.scene.backends.len() {
            self.verify_backend(backend);
            self.verify_sessions(backend);
        }
        let facts = self
            .topology
            .facts(([10, 0, 0, 9], 5).into(), ([10, 0, 0, 8], 81).into());
        let rule = self.topology.frontends[0].matching_rule(&facts);
        let backend = rule.map_or(0, |rule| rule.backend.index());
        assert_eq!(
            backend,
            self.model.backend(self.scene),
            "the rule that matches"
        );
    }

    fn verify_backend(&self, index: usize) {
        let backend = &self.topology.backends[index];
        let set = backend.usable();
        let wanted = &self.model.in_use[index];
        assert_eq!(
            set.in_use(),
            *wanted,
            "servers in use of {}",
            backend.config.name
        );
        assert_eq!(set.nbsrv() as usize, wanted.len());
        if let Some(nbsrv) = self.model.haproxy_nbsrv(self.scene, index) {
            assert_eq!(set.nbsrv() as usize, nbsrv, "nbsrv as HAProxy counts");
        }
        let ready = self.model.ready(self.scene, index);
        let backup =
            |&&position: &&u32| self.scene.backends[index].servers[position as usize].backup;
        let backups = ready.iter().filter(backup).count() as u32;
        assert_eq!(set.usable_backups(), backups);
        assert_eq!(set.usable_primaries(), ready.len() as u32 - backups);
        assert_eq!(backend.history().downs, self.model.outages[index].1);
    }

    /// A few sessions, of which each tries servers as long as it may.
    pub(super) fn verify_sessions(&mut self, index: usize) {
        let farm = &self.scene.backends[index];
        let usable = self.model.usable(self.scene, index);
        let in_use = &self.model.in_use[index];
        let set = self.topology.backends[index].usable();
        for _ in 0..self.random.number(1, 3) {
            let client = client(self.random.number(0, u64::from(u32::MAX)));
            let Some(first) = set.first(client) else {
                assert!(usable.is_empty(), "a usable server was not found");
                return;
            };
            assert!(in_use.contains(&first), "server {first} is not to be used");
            let mut tried = vec![first];
            let alive = |position: u32| self.alive[index][position as usize];
            while !alive(tried[tried.len() - 1]) && tried.len() <= farm.retries {
                let last = tried.len() == farm.retries;
                let Some(next) = set.next(client, &tried, last) else {
                    assert_eq!(tried.len(), usable.len(), "an untried server is left");
                    break;
                };
                assert!(usable.contains(&next), "server {next} is not usable");
                assert!(!tried.contains(&next), "server {next} has failed before");
                let fresh = in_use.iter().any(|position| !tried.contains(position));
                assert!(
                    in_use.contains(&next) || !fresh || last,
                    "{next} comes too early"
                );
                let elsewhere =
                    |position: &u32| !tried.contains(position) && !in_use.contains(position);
                let elsewhere = usable.iter().any(elsewhere);
                assert!(
                    !last || !elsewhere || !in_use.contains(&next),
                    "the last attempt"
                );
                tried.push(next);
            }
            let served = alive(tried[tried.len() - 1]);
            let reachable = usable.iter().any(|&position| alive(position));
            assert!(served || !reachable || usable.len() > farm.retries + 1);
        }
    }

    /// After all recovered, every server that should has exactly its share again.
    pub(super) fn verify_recovery(&mut self) {
        self.verify();
        for (index, farm) in self.scene.backends.iter().enumerate() {
            let all: Vec<_> = farm.servers.iter().zip(0..).collect();
            let expected: Vec<u32> = all
                .iter()
                .filter(|(s, _)| s.weight > 0)
                .map(|&(_, p)| p)
                .collect();
            assert_eq!(
                self.model.ready(self.scene, index),
                expected,
                "nobody is kept away"
            );
            let in_use = &self.model.in_use[index];
            let weight = |position: u32| u32::from(farm.servers[position as usize].weight);
            let weights: u32 = in_use.iter().map(|&position| weight(position)).sum();
            let set = self.topology.backends[index].usable();
            let mut served = vec![0; farm.servers.len()];
            let sessions = 6 * weights * in_use.len() as u32;
            for number in 0..sessions {
                served[set.first(client(number.into())).unwrap() as usize] += 1;
            }
            for &position in in_use {
                let (served, even) = (served[position as usize], in_use.len() as u32);
                let share = sessions * weight(position) / weights;
                let wanted = match farm.balance {
                    "roundrobin" => share..=share,
                    // No session stays open here, so all are equal.
                    "leastconn" => sessions / even..=sessions / even,
                    "first" if position == in_use[0] => sessions..=sessions,
                    "first" => 0..=0,
                    // A matter of chance.
                    _ => 0..=sessions,
                };
                assert!(
                    wanted.contains(&served),
                    "{served} on s{position}, {wanted:?}"
                );
            }
        }
    }
}

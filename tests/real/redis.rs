//! A real redis primary with its replica: the proxy follows the master.

use libtest_mimic::Trial;

use crate::harness::backstop::Backstop;
use crate::harness::farm::Farm;
use crate::harness::redis::{Client, Redis};
use crate::harness::wait::{wait_for, wait_until};
use crate::programs::{Need, trial};

const REDIS: &[Need] = &[Need::Program("redis-server")];

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [
        trial(
            "redis::the_proxy_follows_the_master_when_the_primary_is_killed",
            REDIS,
            a_killed_primary,
        ),
        trial(
            "redis::sessions_of_a_frozen_primary_are_ended_and_go_to_the_new_master",
            REDIS,
            a_frozen_primary,
        ),
    ]
    .into_iter()
}

/// A primary, its replica and the proxy in front of both.
struct Pair {
    primary: Redis,
    replica: Redis,
    farm: Farm,
    backstop: Backstop,
}

impl Pair {
    fn start() -> Self {
        let farm = Farm::new()
            .backend(r#"check = { type = "redis", role = "master", interval = "200ms", timeout = "500ms" }"#)
            .backend(r#"on_marked_down = "shutdown-sessions""#)
            // Longer than the rest of the test may take.
            .backend(r#"failback = { delay = "1m" }"#);
        let primary = Redis::start(farm.next());
        let replica = Redis::replica_of(primary.address(), farm.next());
        let farm = farm
            .server("redis1", primary.address(), "check = true")
            .server("redis2", replica.address(), "check = true");
        let backstop = farm.start();
        farm.stats().wait_for_up("redis1");
        farm.stats().wait_for_down("redis2");
        Self {
            primary,
            replica,
            farm,
            backstop,
        }
    }

    /// A client of the proxy.
    fn client(&self) -> Client {
        Client::connect(self.farm.entrance()).expect("the proxy accepts")
    }

    /// Promotes the replica and writes like a client that connects anew until it succeeds.
    fn promote_and_write(&self, value: &str) {
        self.replica.promote();
        let written = || Client::connect(self.farm.entrance())?.ask(&["SET", "key", value]);
        wait_until("a client should be able to write", || written().is_ok());
        assert_eq!(self.replica.tell(&["GET", "key"]), value);
        assert_eq!(self.replica.tell(&["GET", "before"]), "kept");
    }

    /// The old primary runs again and says that it is a master: it passes its checks, and gets
    /// no session for all that; then it becomes a replica, as it should.
    fn keep_out_the_old_primary(&self) {
        self.backstop.wait_for_log("Server bk/redis1 is UP");
        assert!(
            self.primary
                .tell(&["INFO", "replication"])
                .contains("role:master")
        );
        for number in 0..20 {
            let value = number.to_string();
            let answer = self.client().ask(&["SET", "later", &value]);
            assert_eq!(answer.expect("the new master answers"), "OK");
            assert_eq!(self.replica.tell(&["GET", "later"]), value);
        }
        assert_eq!(self.primary.tell(&["GET", "later"]), "");
        self.primary.follow(self.replica.address());
        self.farm.stats().wait_for_down("redis1");
        assert_eq!(self.primary.tell(&["GET", "later"]), "19");
        let role = self
            .client()
            .ask(&["INFO", "replication"])
            .expect("an answer");
        assert!(role.contains("role:master"), "{role}");
    }
}

fn a_killed_primary() {
    let mut pair = Pair::start();
    let mut client = pair.client();
    client.ask(&["SET", "before", "kept"]).expect("a write");
    assert_eq!(client.ask(&["WAIT", "1", "5000"]).expect("an answer"), "1");
    pair.primary.kill();
    assert!(client.ask(&["PING"]).is_err(), "its server is dead");
    pair.promote_and_write("new");
    pair.primary.restart();
    pair.keep_out_the_old_primary();
}

fn a_frozen_primary() {
    let pair = Pair::start();
    let mut client = pair.client();
    client.ask(&["SET", "before", "kept"]).expect("a write");
    assert_eq!(client.ask(&["WAIT", "1", "5000"]).expect("an answer"), "1");
    pair.primary.freeze();
    // The proxy ends the session as soon as checks have found the server dead: without that, the
    // client would wait for its answer for a minute.
    let error = client.ask(&["PING"]).expect_err("its server is frozen");
    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    let ended = wait_for("the session in the log", || {
        let sessions = pair.backstop.sessions();
        sessions
            .into_iter()
            .find(|session| session.server == "redis1")
    });
    assert_eq!(ended.code, "DD");
    pair.promote_and_write("new");
    pair.primary.thaw();
    pair.keep_out_the_old_primary();
}

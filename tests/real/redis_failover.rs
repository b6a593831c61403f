//! configs/redis-failover.toml with its script, as they stand, before real redis servers: the
//! primary dies, the hook promotes the replica, clients write again, and the old primary comes
//! back as a replica.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use libtest_mimic::Trial;

use crate::harness::backstop::Backstop;
use crate::harness::loopback::Loopback;
use crate::harness::redis::{Client, Redis};
use crate::harness::temp::TempDir;
use crate::harness::wait::wait_until;
use crate::programs::{Need, trial};

const REDIS: &[Need] = &[Need::Program("redis-server"), Need::Program("redis-cli")];

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [
        trial(
            "redis_failover::a_killed_primary_is_replaced_and_comes_back_as_a_replica",
            REDIS,
            a_killed_primary,
        ),
        trial(
            "redis_failover::a_frozen_primary_is_replaced_and_made_a_replica_when_it_thaws",
            REDIS,
            a_frozen_primary,
        ),
        trial(
            "redis_failover::a_replica_that_never_had_the_data_is_not_promoted",
            REDIS,
            an_empty_replica,
        ),
    ]
    .into_iter()
}

/// The shipped configuration at work.
struct Story {
    primary: Redis,
    replica: Redis,
    backstop: Backstop,
    entrance: SocketAddr,
    // Declared last, so that it goes when the program has ended.
    directory: TempDir,
}

impl Story {
    fn begin() -> Self {
        let site = Loopback::lease();
        let primary = Redis::start(site.next());
        let replica = Redis::replica_of(primary.address(), site.next());
        Self::with(&site, primary, replica)
    }

    fn with(site: &Loopback, primary: Redis, replica: Redis) -> Self {
        let directory = TempDir::new();
        let entrance = site.port(20_379);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let script = root.join("redis-failover/failover.sh");
        let state = directory.path().join("redis.master");
        let mut config = include_str!("../../configs/redis-failover.toml").to_owned();
        for (shipped, here) in [
            ("0.0.0.0:6379", entrance.to_string()),
            ("redis-1:6379", primary.address().to_string()),
            ("redis-2:6379", replica.address().to_string()),
            ("127.0.0.1:8711", site.port(20_711).to_string()),
            (
                "/etc/backstop/redis-failover/failover.sh",
                script.display().to_string(),
            ),
            (
                "/var/lib/backstop/redis.master",
                state.display().to_string(),
            ),
        ] {
            assert!(config.contains(shipped), "{shipped}");
            config = config.replace(shipped, &here);
        }
        Self {
            backstop: Backstop::start(&config),
            primary,
            replica,
            entrance,
            directory,
        }
    }

    /// Writes `count` values, like a client that connects anew and tries again after an error,
    /// and returns the keys that were acknowledged, which are all.
    fn write(&self, name: &str, count: usize) -> Vec<String> {
        (0..count)
            .map(|number| acknowledged(self.entrance, &format!("{name}:{number}")))
            .collect()
    }

    /// Which server the script has written down as the master.
    fn written_master(&self) -> String {
        let file = self.directory.path().join("redis.master");
        std::fs::read_to_string(file)
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}

/// Writes a key through the proxy until that is acknowledged.
fn acknowledged(entrance: SocketAddr, key: &str) -> String {
    wait_until("a client should be able to write", || {
        let written = || Client::connect(entrance)?.ask(&["SET", key, key]);
        written().is_ok()
    });
    key.to_owned()
}

fn role(redis: &Redis) -> String {
    let info = redis.ask(&["INFO", "replication"]).unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("role:"));
    line.unwrap_or_default().to_owned()
}

/// Whether it is a replica of `master` and has all of its data.
fn follows(redis: &Redis, master: &Redis) -> bool {
    let info = redis.ask(&["INFO", "replication"]).unwrap_or_default();
    let port = format!("master_port:{}", master.address().port());
    let host = format!("master_host:{}", master.address().ip());
    [port.as_str(), &host, "role:slave", "master_link_status:up"]
        .iter()
        .all(|wanted| info.contains(wanted))
}

fn assert_has_all(redis: &Redis, keys: &[String]) {
    let mut client = Client::connect(redis.address()).expect("a running server");
    for key in keys {
        let value = client.ask(&["GET", key]).expect("an answer");
        assert_eq!(&value, key, "{key} was acknowledged and is not there");
    }
}

/// Waits until every write so far is on the other server too.
fn replicated(master: &Redis) {
    wait_until("the replica should have read all", || {
        let mut client = Client::connect(master.address()).expect("a running server");
        client.ask(&["SET", "marker", "x"]).expect("a write");
        client.ask(&["WAIT", "1", "1000"]).expect("an answer") == "1"
    });
}

/// Writes through the proxy while `meanwhile` runs, and returns the acknowledged keys.
fn writing_during(
    entrance: SocketAddr,
    name: &'static str,
    meanwhile: impl FnOnce(),
) -> Vec<String> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let writer = thread::spawn(move || {
        let mut keys = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            keys.push(acknowledged(entrance, &format!("{name}:{}", keys.len())));
        }
        keys
    });
    meanwhile();
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("every write succeeds in the end")
}

fn a_killed_primary() {
    let mut story = Story::begin();
    let mut keys = story.write("before", 50);
    replicated(&story.primary);
    story.primary.kill();
    keys.extend(story.write("after", 50));
    assert_eq!(role(&story.replica), "master");
    assert_has_all(&story.replica, &keys);
    story
        .backstop
        .wait_for_log("Hook redis-failover ran for event");
    story.backstop.wait_for_log("redis2 is the master now.");
    assert_eq!(story.written_master(), "redis2");

    // It says that it is a master and has no data: no write may reach it, and none be lost to it.
    story.primary.restart();
    let (primary, replica) = (&story.primary, &story.replica);
    keys.extend(writing_during(story.entrance, "returning", || {
        wait_until("the old primary should become a replica", || {
            follows(primary, replica)
        });
    }));
    keys.extend(story.write("together", 20));
    assert_has_all(&story.replica, &keys);
    replicated(&story.replica);
    assert_has_all(&story.primary, &keys);
    story
        .backstop
        .wait_for_log("redis1 is a replica of redis2.");

    // And the other way round.
    story.replica.kill();
    keys.extend(story.write("back", 20));
    assert_eq!(role(&story.primary), "master");
    assert_has_all(&story.primary, &keys);
    wait_until("the script should write down the master", || {
        story.written_master() == "redis1"
    });
}

fn a_frozen_primary() {
    let story = Story::begin();
    let mut keys = story.write("before", 20);
    replicated(&story.primary);
    story.primary.freeze();
    keys.extend(story.write("after", 20));
    assert_eq!(role(&story.replica), "master");
    story.primary.thaw();
    let (primary, replica) = (&story.primary, &story.replica);
    keys.extend(writing_during(story.entrance, "thawing", || {
        wait_until("the old primary should become a replica", || {
            follows(primary, replica)
        });
    }));
    assert_has_all(&story.replica, &keys);
    replicated(&story.replica);
    assert_has_all(&story.primary, &keys);
}

fn an_empty_replica() {
    let site = Loopback::lease();
    let primary = Redis::start(site.next());
    // It is told to follow a master that is not there.
    let replica = Redis::start(site.next());
    let nowhere = site.next();
    let (ip, port) = (nowhere.ip().to_string(), nowhere.port().to_string());
    replica.tell(&["REPLICAOF", &ip, &port]);
    let mut story = Story::with(&site, primary, replica);
    story.write("before", 1);
    story.primary.kill();
    let said = "no replica that ever had its data";
    story.backstop.wait_for_log(said);
    assert_eq!(role(&story.replica), "slave");
}

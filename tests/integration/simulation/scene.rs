//! Random configurations: as plain data for the model, and as a file's text for the program.

use std::fmt::Write;

use super::random::Random;

/// Milliseconds.
pub(super) type Millis = u64;

/// What a history is played on.
pub(super) struct Scene {
    pub(super) backends: Vec<BackendScene>,
    /// Of the only frontend, whose default is the first backend.
    pub(super) rules: Vec<RuleScene>,
}

/// A backend.
pub(super) struct BackendScene {
    pub(super) balance: &'static str,
    pub(super) allbackups: bool,
    pub(super) retries: usize,
    pub(super) failback: Option<Millis>,
    pub(super) damping: Option<Damping>,
    /// Servers may turn out silent. Not together with `damping`.
    pub(super) silence: bool,
    pub(super) min_up: Vec<usize>,
    /// The preferred zone and its `min_up`.
    pub(super) zone: Option<(char, usize)>,
    pub(super) slowstart: Option<Millis>,
    pub(super) interval: Millis,
    pub(super) fast_interval: Millis,
    pub(super) down_interval: Millis,
    pub(super) rise: u32,
    pub(super) fall: u32,
    pub(super) servers: Vec<ServerScene>,
}

#[derive(Clone, Copy)]
pub(super) struct Damping {
    pub(super) penalty: Millis,
    pub(super) max: Millis,
    pub(super) half_life: Millis,
}

#[derive(Clone, Copy)]
pub(super) struct ServerScene {
    pub(super) backup: bool,
    pub(super) tier: usize,
    pub(super) zone: Option<char>,
    pub(super) weight: u16,
    pub(super) checked: bool,
    pub(super) init: &'static str,
    /// When its name resolves, if not at the start.
    pub(super) name_found: Option<Millis>,
}

/// `nbsrv(b0) le LEAVE`, with `until = nbsrv(b0) ge RETURN` if there is that.
#[derive(Clone, Copy)]
pub(super) struct RuleScene {
    pub(super) leave: usize,
    pub(super) come_back: Option<usize>,
    pub(super) to: usize,
}

impl Scene {
    pub(super) fn random(random: &mut Random) -> Self {
        let count = random.number(1, 2) as usize;
        let backends: Vec<_> = (0..count).map(|_| BackendScene::random(random)).collect();
        let rules = (0..random.number(0, 2)).map(|_| {
            let leave = random.number(0, 2) as usize;
            RuleScene {
                leave,
                come_back: random
                    .percent(50)
                    .then(|| leave + random.number(1, 4) as usize),
                to: random.number(0, count as u64 - 1) as usize,
            }
        });
        Self {
            rules: rules.collect(),
            backends,
        }
    }

    /// The file that says the same.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(
            "[frontends.f]\nbind = \"127.0.0.1:81\"\ndefault_backend = \"b0\"\nuse_backend = [\n",
        );
        for rule in &self.rules {
            let until = rule.come_back.map_or(String::new(), |count| {
                format!(", until = \"nbsrv(b0) ge {count}\"")
            });
            let (to, leave) = (rule.to, rule.leave);
            let _ = writeln!(
                text,
                "{{ backend = \"b{to}\", if = \"nbsrv(b0) le {leave}\"{until} }},"
            );
        }
        text += "]\n";
        for (index, backend) in self.backends.iter().enumerate() {
            let _ = write!(text, "[backends.b{index}]\n{}", backend.text());
        }
        text
    }
}

impl BackendScene {
    fn random(random: &mut Random) -> Self {
        let primaries = random.number(1, 5);
        let backups = random.number(0, 3);
        let tiered = random.percent(30);
        let zoned = random.percent(30);
        let damping = random.percent(40).then(|| Damping {
            penalty: random.number(1_000, 4_000),
            max: random.number(4_000, 30_000),
            half_life: random.number(5_000, 60_000),
        });
        let servers = (0..primaries + backups).map(|position| {
            let backup = position >= primaries;
            ServerScene {
                backup,
                tier: if tiered && !backup {
                    random.number(0, 2) as usize
                } else {
                    0
                },
                zone: zoned.then(|| random.one_of(&['a', 'b'])),
                weight: random.one_of(&[1, 1, 1, 2, 3, 0]),
                checked: random.percent(92),
                init: random.one_of(&["known", "known", "up", "fully-up", "down", "fully-down"]),
                name_found: random.percent(6).then(|| random.number(1, 30_000)),
            }
        });
        let mut servers: Vec<_> = servers.collect();
        let last = servers
            .iter()
            .map(|server| server.tier as u64)
            .max()
            .unwrap_or(0);
        if zoned {
            servers[0].zone = Some('a');
        }
        Self {
            allbackups: random.percent(50),
            retries: random.number(0, 4) as usize,
            failback: random.percent(30).then(|| random.number(1, 15_000)),
            damping,
            silence: damping.is_none() && random.percent(30),
            min_up: min_up(random, last),
            zone: zoned.then(|| ('a', random.number(1, 2) as usize)),
            slowstart: random.percent(25).then(|| random.number(1_000, 10_000)),
            interval: random.number(1_000, 3_000),
            fast_interval: random.number(300, 1_000),
            down_interval: random.number(500, 4_000),
            rise: random.number(1, 3) as u32,
            fall: random.number(1, 4) as u32,
            // Its tables are much work without optimization.
            balance: if random.percent(3) {
                "source"
            } else {
                random.one_of(&["roundrobin", "leastconn", "random", "first"])
            },
            servers,
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "balance = \"{}\"\nallbackups = {}\nretries = {}\ncheck = {{ interval = \"{}ms\", fast_interval = \
             \"{}ms\", down_interval = \"{}ms\", rise = {}, fall = {} }}\n",
            self.balance,
            self.allbackups,
            self.retries,
            self.interval,
            self.fast_interval,
            self.down_interval,
            self.rise,
            self.fall
        );
        if let Some(delay) = self.failback {
            let _ = writeln!(text, "failback = {{ delay = \"{delay}ms\" }}");
        }
        if let Some(damping) = self.damping {
            let Damping {
                penalty,
                max,
                half_life,
            } = damping;
            let _ = writeln!(
                text,
                "flap_damping = {{ penalty = \"{penalty}ms\", max = \"{max}ms\", half_life = \
                 \"{half_life}ms\" }}"
            );
        }
        if !self.min_up.is_empty() {
            let _ = writeln!(text, "min_up = {:?}", self.min_up);
        }
        if let Some((zone, min_up)) = self.zone {
            let _ = writeln!(
                text,
                "prefer_zone = {{ zone = \"{zone}\", min_up = {min_up} }}"
            );
        }
        if let Some(slowstart) = self.slowstart {
            let _ = writeln!(text, "slowstart = \"{slowstart}ms\"");
        }
        text += "servers = [\n";
        for (position, server) in self.servers.iter().enumerate() {
            text += &server.text(position);
        }
        text + "]\n"
    }
}

/// For none of the tiers, or for the first ones up to `last`.
fn min_up(random: &mut Random, last: u64) -> Vec<usize> {
    if random.percent(70) {
        return Vec::new();
    }
    let count = random.number(1, last + 1);
    (0..count).map(|_| random.number(1, 3) as usize).collect()
}

impl ServerScene {
    fn text(&self, position: usize) -> String {
        let mut text = format!(
            "{{ name = \"s{position}\", address = \"10.0.0.1:{}\", weight = {}, check = {}",
            position + 1,
            self.weight,
            self.checked
        );
        if self.backup {
            text += ", backup = true";
        }
        if self.tier > 0 {
            let _ = write!(text, ", tier = {}", self.tier);
        }
        if let Some(zone) = self.zone {
            let _ = write!(text, ", zone = \"{zone}\"");
        }
        if self.checked {
            let _ = write!(text, ", init_state = \"{}\"", self.init);
        }
        text + " },\n"
    }
}

//! What befalls servers, and what operators do, by chance that a seed determines.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::bytes::Chance;
use crate::scene::{FARMS, SERVERS, Scene};

/// Longer than anything that follows from a fault takes to be noticed: a failed check.
const AFTERMATH: Duration = Duration::from_secs(3);

/// Something that was done on purpose.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) what: String,
    /// The server whose sessions may end of it, if any may.
    pub(crate) ends: Option<String>,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Fault {
    /// Whether it is why a session on `server` failed.
    pub(crate) fn explains(&self, server: &str, began: Instant, ended: Instant) -> bool {
        let here = self.ends.as_deref() == Some(server);
        here && self.from <= ended && began <= self.until + AFTERMATH
    }
}

/// What was done, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) faults: Mutex<Vec<Fault>>,
    pub(crate) failed: Mutex<Vec<String>>,
}

/// One of those that do things, each one after the other.
struct Doer<'a> {
    scene: &'a Scene,
    journal: &'a Journal,
    chance: Chance,
    /// Of the whole run.
    started: Instant,
}

/// Kills, freezes and restarts servers, and takes them out, one at a time, until `stop`.
pub(crate) fn harm(
    scene: &Scene,
    journal: &Journal,
    seed: u64,
    started: Instant,
    stop: &AtomicBool,
) {
    let chance = Chance::new(seed);
    let mut doer = Doer {
        scene,
        journal,
        chance,
        started,
    };
    while !stop.load(Relaxed) {
        thread::sleep(doer.chance.ms(200..2_000));
        let index = doer.chance.within(0..scene.servers.len() as u64) as usize;
        let server = &scene.servers[index];
        let path = server.lock().expect("no panic").path.clone();
        let lasts = doer.chance.ms(300..4_000);
        match doer.chance.within(0..6) {
            0 => doer.during(&format!("kill {path}"), Some(&path), lasts, |on, doer| {
                let mut server = server.lock().expect("no panic");
                if on {
                    server.kill();
                } else if let Err(error) = server.restart() {
                    doer.fail(format!("restart {path}: {error}"));
                }
            }),
            1 => doer.during(
                &format!("restart {path}"),
                Some(&path),
                Duration::ZERO,
                |on, doer| {
                    let mut server = server.lock().expect("no panic");
                    if on {
                        server.kill();
                    } else if let Err(error) = server.restart() {
                        doer.fail(format!("restart {path}: {error}"));
                    }
                },
            ),
            2 => doer.during(&format!("freeze {path}"), Some(&path), lasts, |on, _| {
                server.lock().expect("no panic").freeze(on);
            }),
            3 => doer.state(&path, "drain", None, lasts),
            // The servers of the second farm end their sessions when they go.
            4 => doer.state(
                &path,
                "maint",
                path.starts_with('b').then_some(&*path),
                lasts,
            ),
            _ => {
                let command = format!("shutdown sessions server {path}");
                doer.during(&command, Some(&path), Duration::ZERO, |on, doer| {
                    if on {
                        doer.tell(&command);
                    }
                });
            }
        }
    }
}

/// Reloads, and changes weights and limits, until `stop`.
pub(crate) fn operate(
    scene: &Scene,
    journal: &Journal,
    seed: u64,
    started: Instant,
    stop: &AtomicBool,
) {
    let chance = Chance::new(seed);
    let mut doer = Doer {
        scene,
        journal,
        chance,
        started,
    };
    while !stop.load(Relaxed) {
        thread::sleep(doer.chance.ms(300..2_500));
        let farm = FARMS[doer.chance.within(0..FARMS.len() as u64) as usize];
        let server = format!("{farm}/s{}", doer.chance.within(0..SERVERS as u64));
        match doer.chance.within(0..4) {
            0 | 1 => {
                let number = doer.chance.within(0..1_000);
                doer.during(
                    &format!("reload {number}"),
                    None,
                    Duration::ZERO,
                    |on, doer| {
                        if on && let Err(error) = doer.scene.reload(number) {
                            doer.fail(format!("reload {number}: {error}"));
                        }
                    },
                );
            }
            2 => {
                let weight = doer.chance.within(0..20);
                let command = format!("set server {server} weight {weight}");
                let lasts = doer.chance.ms(100..2_000);
                doer.during(&command, None, lasts, |on, doer| {
                    let back = format!("set server {server} weight 100%");
                    doer.tell(if on { &command } else { &back });
                });
            }
            _ => {
                let most = doer.chance.within(1..4);
                let lasts = doer.chance.ms(500..3_000);
                doer.during(
                    &format!("maxconn {most} in {farm}"),
                    None,
                    lasts,
                    |on, doer| {
                        let most = if on { most } else { 0 };
                        for number in 0..SERVERS {
                            doer.tell(&format!("set maxconn server {farm}/s{number} {most}"));
                        }
                    },
                );
            }
        }
    }
}

impl Doer<'_> {
    fn state(&mut self, path: &str, state: &str, ends: Option<&str>, lasts: Duration) {
        self.during(&format!("{state} {path}"), ends, lasts, |on, doer| {
            let state = if on { state } else { "ready" };
            doer.tell(&format!("set server {path} state {state}"));
        });
    }

    /// Has something be so for a while, and prints it.
    fn during(
        &self,
        what: &str,
        ends: Option<&str>,
        lasts: Duration,
        switch: impl Fn(bool, &Self),
    ) {
        let from = Instant::now();
        let at = from.duration_since(self.started).as_secs_f64();
        println!("{at:8.1} s  {what} for {:.1} s", lasts.as_secs_f64());
        switch(true, self);
        thread::sleep(lasts);
        switch(false, self);
        let fault = Fault {
            what: what.to_owned(),
            ends: ends.map(str::to_owned),
            from,
            until: Instant::now(),
        };
        self.journal.faults.lock().expect("no panic").push(fault);
    }

    /// Gives a command that has no answer if all went well.
    fn tell(&self, command: &str) {
        match self.scene.ask(command) {
            Ok(answer) if answer.trim().is_empty() => {}
            Ok(answer) => self.fail(format!("{command}: {}", answer.trim())),
            Err(error) => self.fail(format!("{command}: {error}")),
        }
    }

    fn fail(&self, what: String) {
        self.journal.failed.lock().expect("no panic").push(what);
    }
}

//! Thousands of random fault histories, without sockets and in time that passes only there.
//!
//! The program's own code judges checks, holds servers back, computes who gets sessions and
//! settles rules; a model that is written independently says what should come out. A failure
//! tells its number: `BACKSTOP_SIMULATION=NUMBER cargo test simulation` plays that history again.

mod model;
mod random;
mod scene;
mod verify;
mod world;

use std::num::NonZero;
use std::thread;

use backstop::config;

use self::random::Random;
use self::scene::Scene;
use self::world::World;

/// Random configurations.
const SCENES: u64 = 250;

/// Histories that are played on each.
const PER_SCENE: u64 = 8;

/// Tells which history failed.
struct Number(u64);

impl Drop for Number {
    fn drop(&mut self) {
        if thread::panicking() {
            let number = self.0;
            eprintln!("History {number} failed: BACKSTOP_SIMULATION={number} plays it again.");
        }
    }
}

/// Plays those histories of a scene that are `wanted`, by their numbers.
fn play(scene: u64, wanted: impl Fn(u64) -> bool) {
    let first = scene * PER_SCENE;
    let scene = Scene::random(&mut Random::new(scene));
    let loaded = config::parse(&scene.text(), "scene.toml", &|_| None);
    let config = loaded.unwrap_or_else(|report| panic!("{report}")).config;
    for number in (first..first + PER_SCENE).filter(|number| wanted(*number)) {
        let _told = Number(number);
        World::new(&scene, &config, Random::new(!number)).play();
    }
}

#[test]
fn random_fault_histories_end_as_they_should() {
    if let Ok(number) = std::env::var("BACKSTOP_SIMULATION") {
        let number: u64 = number.parse().expect("the number of a history");
        return play(number / PER_SCENE, |this| this == number);
    }
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for first in 0..threads as u64 {
            scope.spawn(move || {
                for number in (first..SCENES).step_by(threads) {
                    play(number, |_| true);
                }
            });
        }
    });
}

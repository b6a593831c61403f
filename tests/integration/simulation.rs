//! Thousands of random fault histories, without sockets and in time that passes only there.
//!
//! The program's own code judges checks, holds servers back, computes who gets sessions and
//! settles rules; a model that is written independently says what should come out. A failure
//! tells its number: `BACKSTOP_SIMULATION=NUMBER cargo test simulation` plays that history again.

mod model;
mod random;
mod scene;
mod world;

use self::random::Random;
use self::scene::Scene;
use self::world::World;

const HISTORIES: u64 = 2_000;

/// Histories that share a configuration, whose text takes longer to read than a history to play.
const PER_SCENE: u64 = 8;

/// Tells which history failed.
struct Number(u64);

impl Drop for Number {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let number = self.0;
            eprintln!("History {number} failed: BACKSTOP_SIMULATION={number} plays it again.");
        }
    }
}

fn play(number: u64) {
    let told = Number(number);
    let scene = Scene::random(&mut Random::new(number / PER_SCENE));
    let text = scene.text();
    World::new(&scene, &text, Random::new(!number)).play();
    drop(told);
}

#[test]
fn random_fault_histories_end_as_they_should() {
    match std::env::var("BACKSTOP_SIMULATION") {
        Ok(number) => play(number.parse().expect("the number of a history")),
        Err(_) => (0..HISTORIES).for_each(play),
    }
}

//! The demos in `docker/`, brought up by a real engine as their README files say.
//!
//! Building their image takes minutes, so these tests run only with `BACKSTOP_FULL=1` in the
//! environment, which `tests/run` sets. Without an engine they are ignored, with the reason
//! beside their names; where `docker` is installed and `BACKSTOP_REQUIRE_REAL=1` is set, an
//! engine that does not answer is a failure. A machine without Docker is no fault.
//!
//! The demos have fixed ports on the host, so two runs cannot go on at once.

#[path = "../harness/mod.rs"]
mod harness;

mod demos;
mod engine;
mod image;
mod monitoring;
mod pair;
mod postgres;
mod project;
mod readme;
mod redis;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let tests: Vec<Trial> = readme::trials()
        .chain(image::trials())
        .chain(demos::trials())
        .chain(redis::trials())
        .chain(postgres::trials())
        .chain(pair::trials())
        .chain(monitoring::trials())
        .collect();
    libtest_mimic::run(&arguments, tests).exit();
}

//! Backstop with real programs: nginx servers, `curl` as the client, and `HAProxy` beside it.
//!
//! A test whose program is not installed is reported as ignored, with the reason beside its
//! name. With `BACKSTOP_REQUIRE_REAL=1` in the environment it fails instead: that is how
//! `tests/run` makes sure that nothing is left out.

#[path = "../harness/mod.rs"]
mod harness;

mod checks;
mod ipv6;
mod programs;
mod scenarios;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let tests: Vec<Trial> = scenarios::trials()
        .chain(ipv6::trials())
        .chain(checks::trials())
        .collect();
    libtest_mimic::run(&arguments, tests).exit();
}

//! The Docker engine, and whether there is one.

use std::env;
use std::io;
use std::process::{Command, Output};
use std::sync::LazyLock;

use libtest_mimic::Trial;

use crate::harness::installed::find;

/// Programs that the demos and their images take.
const PROGRAMS: [&str; 9] = [
    "docker-compose",
    "nginx",
    "envsubst",
    "curl",
    "redis-server",
    "redis-cli",
    "postgres",
    "keepalived",
    "prometheus",
];

/// What keeps these tests from running.
enum Obstacle {
    /// Nothing that anybody has to mend.
    Absent(String),
    /// Docker is here but does not work.
    Broken(String),
}

/// A test that needs the engine and the images.
pub(crate) fn trial(name: &str, test: fn()) -> Trial {
    let required = env::var_os("BACKSTOP_REQUIRE_REAL").is_some_and(|value| value == "1");
    let reason = match &*OBSTACLE {
        None => {
            return Trial::test(name, move || {
                IMAGES.as_ref().map_err(String::as_str)?;
                test();
                Ok(())
            });
        }
        Some(Obstacle::Broken(reason)) if required => {
            return Trial::test(name, move || Err(reason.as_str().into()));
        }
        Some(Obstacle::Absent(reason) | Obstacle::Broken(reason)) => reason,
    };
    Trial::test(name, || Ok(()))
        .with_kind(reason)
        .with_ignored_flag(true)
}

static OBSTACLE: LazyLock<Option<Obstacle>> = LazyLock::new(obstacle);

fn obstacle() -> Option<Obstacle> {
    if env::var_os("BACKSTOP_FULL").is_none_or(|value| value != "1") {
        return Some(Obstacle::Absent("only with BACKSTOP_FULL=1".into()));
    }
    match Command::new("docker").arg("info").output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some(Obstacle::Absent("no docker here".into()));
        }
        Err(error) => return Some(Obstacle::Broken(format!("docker: {error}"))),
        Ok(output) if !output.status.success() => {
            return Some(Obstacle::Broken("no engine answers docker".into()));
        }
        Ok(_) => {}
    }
    let missing = PROGRAMS
        .into_iter()
        .find(|program| find(program).is_none())?;
    Some(Obstacle::Broken(format!("no {missing} here")))
}

/// The images, made from what the working directory holds now, once.
static IMAGES: LazyLock<Result<(), String>> = LazyLock::new(|| {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/stand-ins.sh");
    let output = Command::new(script).output().expect("the script runs");
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("docker/stand-ins.sh failed: {}", errors(&output)))
    }
});

/// What `docker` prints for these arguments; it must succeed.
pub(crate) fn docker(arguments: &[&str]) -> String {
    printed(Command::new("docker").args(arguments))
}

/// What a command prints that must succeed, without the white space around it.
pub(crate) fn printed(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    let failed = || format!("{command:?}: {}", errors(&output));
    assert!(output.status.success(), "{}", failed());
    let text = String::from_utf8(output.stdout).expect("text");
    text.trim().to_owned()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

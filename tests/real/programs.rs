//! What a test needs of the machine, and what happens when it is not there.

use std::net::TcpListener;
use std::path::PathBuf;
use std::{env, fs};

use libtest_mimic::Trial;

/// Something that not every machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// An installed program.
    Program(&'static str),
    /// The address `::1`.
    Ipv6,
}

impl Need {
    /// Why the need is not met; `None` if it is.
    fn missing(self) -> Option<String> {
        match self {
            Self::Program(name) => (!is_installed(name)).then(|| format!("no {name} here")),
            Self::Ipv6 => TcpListener::bind("[::1]:0")
                .is_err()
                .then(|| "no IPv6 here".to_owned()),
        }
    }
}

fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is, also if that is a place which only root has in `PATH`, or none has.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    // Debian keeps every version of PostgreSQL in a directory of its own.
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let versions = versions.map(|version| version.path().join("bin"));
    let mut places = usual
        .chain(versions)
        .map(|directory| directory.join(program));
    places.find(|path| path.is_file())
}

/// A test that runs if all it needs is there, and is ignored otherwise, or fails if all tests
/// are required.
pub(crate) fn trial(name: &str, needs: &[Need], test: fn()) -> Trial {
    let Some(reason) = needs.iter().find_map(|need| need.missing()) else {
        return Trial::test(name, move || {
            test();
            Ok(())
        });
    };
    if env::var_os("BACKSTOP_REQUIRE_REAL").is_some_and(|value| value == "1") {
        return Trial::test(name, move || Err(reason.into()));
    }
    Trial::test(name, || Ok(()))
        .with_kind(reason)
        .with_ignored_flag(true)
}

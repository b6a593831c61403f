//! Programs that are installed.

use std::path::PathBuf;
use std::{env, fs};

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

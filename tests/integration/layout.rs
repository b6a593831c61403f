//! The rules of ARCHITECTURE.md that a machine can check.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the library, each of which may use only those before it.
const ORDER: &[&str] = &[
    "id",
    "outcome",
    "history",
    "counters",
    "sys",
    "networks",
    "acl",
    "config",
    "descriptors",
    "proxy_header",
    "log",
    "balance",
    "health",
    "topology",
    "explain",
    "events",
    "state",
    "proxy",
    "supervisor",
    "resolver",
    "checks",
    "hooks",
    "admin",
    "api",
    "upgrade",
    "privileges",
    "notify",
    "watchdog",
    "process",
    "cli",
    "fuzz",
    "lib",
];

/// Lines of a source file, tests included.
const LONGEST_FILE: usize = 450;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The module of the library that a file belongs to.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(root()).unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn rank(module: &str) -> usize {
    let rank = ORDER.iter().position(|name| *name == module);
    rank.unwrap_or_else(|| panic!("module `{module}` has no place in ORDER"))
}

/// The part of a file that is not its tests, which may use anything.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for file in sources(&root()) {
        let module = module(&file);
        let is_test = file.ends_with("sample.rs") || file.ends_with("tests.rs");
        if module == "lib" || module == "main" || is_test {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = without_tests(&text)
            .lines()
            .filter(|line| !line.trim().starts_with("//"));
        for line in code {
            for used in line.split("crate::").skip(1) {
                let used = used
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap();
                if !used.is_empty() && rank(used) > rank(&module) {
                    wrong.push(format!("{}: {}", file.display(), line.trim()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these imports point upwards:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn files_stay_short() {
    let long: Vec<_> = sources(&root())
        .into_iter()
        .map(|file| (fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .collect();
    assert!(long.is_empty(), "split these files: {long:?}");
}

#[test]
fn no_module_is_called_after_nothing() {
    let names = ["utils", "util", "common", "helpers", "misc"];
    for file in sources(&root()) {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        assert!(
            !names.contains(&stem),
            "give {} a name that says what it does",
            file.display()
        );
    }
}

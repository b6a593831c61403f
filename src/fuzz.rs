//! Bytes that nobody trusts, fed to what reads them: each target must survive anything.
//!
//! `fuzz/` feeds them without end, guided by coverage. The tests below feed them the corpus, and
//! what becomes of it by small changes, which takes a second and needs nothing installed.

use crate::acl;
pub use crate::checks::fuzz::answers;
use crate::config;

/// What is fed.
pub type Target = fn(&[u8]);

/// Every target, with its name and the folders of its corpus.
pub const TARGETS: [(&str, Target, &[&str]); 3] = [
    ("acl", condition, &["fuzz/corpus/acl"]),
    ("check_answers", answers, &["fuzz/corpus/check_answers"]),
    (
        "config",
        configuration,
        &["configs", "tests/fixtures/bad", "tests/fixtures/warn"],
    ),
];

/// A condition of a rule.
pub fn condition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(error) = acl::parse::parse(text) {
        let range = error.range;
        assert!(text.get(range.clone()).is_some(), "{range:?} of {text:?}");
    }
}

/// A configuration file.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let report = match config::parse(&text, "file.toml", &|_| None) {
        Ok(loaded) => loaded.warnings,
        Err(report) => report,
    };
    let _ = report.to_string();
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    use proptest::prelude::Rng as _;
    use proptest::test_runner::{RngAlgorithm, TestRng};

    use super::*;

    /// Changed inputs for each target.
    const CHANGED: usize = 3_000;

    fn corpus(folders: &[&str]) -> Vec<Vec<u8>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> = folders
            .iter()
            .flat_map(|folder| fs::read_dir(root.join(folder)).expect("a folder"))
            .map(|file| file.expect("a file").path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "nothing in {folders:?}");
        let read = |path| fs::read(path).expect("a file");
        files.iter().map(read).collect()
    }

    fn feed(name: &str, target: Target, input: &[u8]) {
        let survived = catch_unwind(AssertUnwindSafe(|| target(input)));
        assert!(
            survived.is_ok(),
            "{name}: {:?}",
            input.escape_ascii().to_string()
        );
    }

    fn below(rng: &mut TestRng, limit: usize) -> usize {
        rng.next_u32() as usize % limit.max(1)
    }

    /// One of the ways in which a fuzzer changes an input.
    fn change(input: &mut Vec<u8>, other: &[u8], rng: &mut TestRng) {
        let at = below(rng, input.len() + 1);
        let end = (at + below(rng, 16)).min(input.len());
        match rng.next_u32() % 6 {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, rng.next_u32() as u8),
            2 => input.truncate(at),
            3 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            4 => {
                let from = below(rng, other.len() + 1);
                let to = (from + below(rng, 64)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << (rng.next_u32() % 8);
                }
            }
        }
    }

    #[test]
    fn nothing_brings_a_target_down() {
        for (name, target, folders) in TARGETS {
            let corpus = corpus(folders);
            for input in &corpus {
                feed(name, target, input);
            }
            let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            for _ in 0..CHANGED {
                let mut input = corpus[below(&mut rng, corpus.len())].clone();
                let other = &corpus[below(&mut rng, corpus.len())];
                for _ in 0..=below(&mut rng, 4) {
                    change(&mut input, other, &mut rng);
                }
                feed(name, target, &input);
            }
        }
    }
}

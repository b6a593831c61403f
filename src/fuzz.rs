//! Bytes that nobody trusts, fed to what reads them: each target must survive anything.
//!
//! `fuzz/` feeds them without end, guided by coverage. The tests below feed them the corpus, and
//! what becomes of it by small changes, which takes a second and needs nothing installed.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::acl;
use crate::admin::{self, Report, Running, auth::Visitor, csv, page, rows::Selection, view::View};
use crate::api;
pub use crate::checks::fuzz::answers;
use crate::config::clients::ProxyVersion;
use crate::config::{self, session_format::parse_format};
use crate::networks::network;
use crate::proxy_header::{self, Parsed, Told};
use crate::state::{Clock, Saved};
use crate::topology::sample::{settings, single_farm};
use crate::upgrade::wire::{Estate, Hello, read_message};

/// What is fed.
pub type Target = fn(&[u8]);

/// Every target, with its name and the folders of its corpus.
pub const TARGETS: [(&str, Target, &[&str]); 8] = [
    ("acl", condition, &["fuzz/corpus/acl"]),
    ("api", commands, &["fuzz/corpus/api"]),
    ("check_answers", answers, &["fuzz/corpus/check_answers"]),
    (
        "config",
        configuration,
        &["configs", "tests/fixtures/bad", "tests/fixtures/warn"],
    ),
    ("proxy_header", proxy_headers, &["fuzz/corpus/proxy_header"]),
    ("stats", requests, &["fuzz/corpus/stats"]),
    ("upgrade", upgrade, &["fuzz/corpus/upgrade"]),
    ("words", words, &["fuzz/corpus/words"]),
];

/// Longer than any input takes that does not have something wait for ever.
const LIMIT: Duration = Duration::from_secs(20);

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("an event loop");
}

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

/// What somebody says on the runtime API who may do everything.
pub fn commands(data: &[u8]) {
    run(api::fuzz::commands(data));
}

/// What comes to the stats page, of whose users one may change servers.
pub fn requests(data: &[u8]) {
    run(admin::fuzz::requests(data));
}

fn run(target: impl Future<Output = ()>) {
    RUNTIME.with(|runtime| {
        let tasks = LocalSet::new();
        let ended = tasks.block_on(runtime, async { timeout(LIMIT, target).await });
        assert!(ended.is_ok(), "it does not end");
    });
}

/// The beginning of a connection from a proxy. What is read can be written and read again.
pub fn proxy_headers(data: &[u8]) {
    let Parsed::Header(told, length) = proxy_header::parse(data) else {
        return;
    };
    assert!(length <= data.len(), "{length} of {} bytes", data.len());
    // It would have been read as soon as its last byte was there, and not before.
    assert_eq!(
        proxy_header::parse(&data[..length]),
        Parsed::Header(told, length)
    );
    let shorter = proxy_header::parse(&data[..length - 1]);
    assert_eq!(shorter, Parsed::Incomplete);
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let bytes = proxy_header::encode(version, told);
        let Parsed::Header(again, all) = proxy_header::parse(&bytes) else {
            panic!("{:?}", bytes.escape_ascii().to_string());
        };
        assert_eq!(
            (again.map(canonical), all),
            (told.map(canonical), bytes.len())
        );
    }
}

/// An address has one form, whatever the family in which it was told.
fn canonical(told: Told) -> (std::net::IpAddr, std::net::IpAddr, u16, u16) {
    let (client, local) = (told.client, told.local);
    let ip = |address: std::net::SocketAddr| address.ip().to_canonical();
    (ip(client), ip(local), client.port(), local.port())
}

/// What one process says to another that takes over from it; the state file is part of that.
pub fn upgrade(data: &[u8]) {
    let _ = read_message::<Hello>(&mut &*data);
    let estate = read_message::<Estate>(&mut &*data).map(|estate| estate.state);
    for saved in estate.into_iter().chain(Saved::parse(data)) {
        let topology = single_farm(false);
        let clock = Clock::now();
        let _ = (saved.age(clock), saved.apply(&topology, clock));
        let again = Saved::of(&topology, clock).json();
        assert_eq!(Saved::parse(&again).map(drop), Ok(()));
        let selection = Selection::all(topology.clone(), clock.instant);
        let report = Report::of(
            &Running::of(topology),
            settings().into(),
            View::default(),
            Visitor::ANYONE,
        );
        let shown = page::pieces(report).chain(csv::pieces(selection));
        assert!(shown.count() > 0);
    }
}

/// Values of the configuration that have a form of their own.
pub fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(fault) = parse_format(text)
        && let Some(range) = fault.range
    {
        assert!(text.get(range.clone()).is_some(), "{range:?} of {text:?}");
    }
    let _ = network(text);
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

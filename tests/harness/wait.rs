//! Waiting for a condition instead of for a time.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for any condition on a loaded machine, so that only a real fault runs into it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Polls `probe` until it gives a value, and panics with `what` after [`DEADLINE`].
pub(crate) fn wait_for<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    wait_within(DEADLINE, probe)
        .unwrap_or_else(|| panic!("waited {} s in vain: {what}", DEADLINE.as_secs()))
}

/// Polls until `condition` holds, and panics with `what` after [`DEADLINE`].
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Polls `probe` until it gives a value; `None` after `limit`.
pub(crate) fn wait_within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(POLL);
    }
}

/// Does it again while it was cut short, as waits with a time limit are when a freezer thaws the
/// process.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

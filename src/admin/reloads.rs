//! How the last reload went.

use std::sync::{Arc, Mutex, PoisonError};

/// How reloads went, for those who look. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Reloads(Arc<Mutex<Counts>>);

/// How reloads went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that took place.
    pub done: u64,
    /// Those that changed nothing because something was wrong.
    pub failed: u64,
    /// What was wrong with the last one, if it failed.
    pub error: Option<String>,
}

impl Reloads {
    /// How they went until now.
    pub fn counts(&self) -> Counts {
        self.change(|counts| counts.clone())
    }

    /// Takes note of one that took place.
    pub fn went_well(&self) {
        self.change(|counts| {
            counts.done += 1;
            counts.error = None;
        });
    }

    /// Takes note of one that did not, and why.
    pub fn failed(&self, error: &str) {
        self.change(|counts| {
            counts.failed += 1;
            counts.error = Some(error.to_owned());
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

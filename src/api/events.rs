//! `show events`: the last events, and those that follow.

use tokio::sync::watch;

use super::Api;
use super::command::{Answer, Client};
use crate::events::{Journal, Record};

/// Records read from the journal at once.
const AT_ONCE: usize = 64;

/// `show events [json] [-w] [-n]`.
pub fn show(api: &Api, _: &mut Client, words: &[&str]) -> Answer {
    let journal = api.running.journal.clone();
    let json = words.contains(&"json");
    let after = if words.contains(&"-n") {
        journal.last()
    } else {
        0
    };
    let follow = Follow {
        watch: journal.watch(),
        journal,
        json,
        after,
    };
    if words.contains(&"-w") {
        return Answer::Follow(follow);
    }
    Answer::Pieces(Box::new(follow))
}

/// The events after one of them.
#[derive(Debug)]
pub struct Follow {
    journal: Journal,
    watch: watch::Receiver<u64>,
    json: bool,
    after: u64,
}

impl Iterator for Follow {
    type Item = String;

    /// The next lines that are there already.
    fn next(&mut self) -> Option<String> {
        let records = self.journal.after(self.after, AT_ONCE);
        self.after = records.last()?.number;
        Some(records.iter().map(|record| self.line(record)).collect())
    }
}

impl Follow {
    /// Waits until there may be more.
    pub async fn more(&mut self) {
        let after = self.after;
        // The journal is held here, so its other end is never gone.
        let _ = self.watch.wait_for(|last| *last > after).await;
    }

    fn line(&self, record: &Record) -> String {
        if self.json {
            return record.json() + "\n";
        }
        let severity = record.event.severity().word();
        format!("{} [{severity}] {}\n", record.time(), record.event)
    }
}

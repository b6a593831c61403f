//! Log lines, once in a while, about clients that are refused or have to wait: one for each of
//! them would be a flood of its own.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::topology::guard::Refusal;
use crate::topology::{Frontend, Topology};

/// The least time between two lines about the same.
const PAUSE: Duration = Duration::from_secs(10);

/// What was told of each frontend, by its name, and of the process, which has none.
#[derive(Debug, Default)]
pub(super) struct Notices {
    told: HashMap<String, Told>,
}

#[derive(Debug, Default)]
struct Told {
    refusals: [u64; Refusal::ALL.len()],
    refused_at: Option<Instant>,
    full_at: Option<Instant>,
}

impl Notices {
    /// Tells what has to be told now. To be called about once a second.
    pub(super) fn look(&mut self, topology: &Topology, now: Instant) {
        let of = |frontend: &Frontend| frontend.config.name.clone();
        let names: Vec<_> = topology.frontends.iter().map(|f| of(f)).collect();
        self.told
            .retain(|name, _| name.is_empty() || names.contains(name));
        for (frontend, name) in topology.frontends.iter().zip(names) {
            let told = self.told.entry(name).or_default();
            let name = &frontend.config.name;
            if let Some(what) = told.refused(frontend, now) {
                tracing::warn!("Frontend {name} refused {what}.");
            }
            let most = frontend.maxconn();
            if most > 0 && told.is_news(frontend.counters.open() >= most, now) {
                tracing::warn!(
                    "Frontend {name} has as many sessions as it may, {most}; more connections wait."
                );
            }
        }
        let admission = &topology.admission;
        let process = self.told.entry(String::new()).or_default();
        if process.is_news(admission.open() >= admission.maxconn(), now) {
            tracing::warn!(
                "The process has as many sessions as it may, {}; more connections wait.",
                admission.maxconn()
            );
        }
    }
}

impl Told {
    /// How many clients were refused since that was told last, and why.
    fn refused(&mut self, frontend: &Frontend, now: Instant) -> Option<String> {
        if is_recent(self.refused_at, now) {
            return None;
        }
        let totals = Refusal::ALL.map(|refusal| frontend.door.refusals.total(refusal));
        let mut what = String::new();
        for ((refusal, total), before) in Refusal::ALL.iter().zip(totals).zip(self.refusals) {
            if total > before {
                let separator = if what.is_empty() { "" } else { ", " };
                let count = total - before;
                let _ = write!(what, "{separator}{count} {}", refusal.text());
            }
        }
        if what.is_empty() {
            return None;
        }
        self.refusals = totals;
        self.refused_at = Some(now);
        Some(what)
    }

    /// Whether it is to be told that something is full.
    fn is_news(&mut self, full: bool, now: Instant) -> bool {
        let news = full && !is_recent(self.full_at, now);
        if full {
            // While it stays full, once is enough.
            self.full_at = Some(now);
        }
        news
    }
}

fn is_recent(told: Option<Instant>, now: Instant) -> bool {
    told.is_some_and(|told| now.duration_since(told) < PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sample::farms;

    #[test]
    fn refusals_are_added_up_between_lines() {
        let topology = farms();
        let frontend = &topology.frontends[0];
        let mut told = Told::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(told.refused(frontend, at(0)), None);
        let refuse = |refusal| frontend.door.refusals.count(0, refusal);
        refuse(Refusal::Address);
        let one = "1 from an address that is not allowed";
        assert_eq!(told.refused(frontend, at(1)).as_deref(), Some(one));
        refuse(Refusal::Garbage);
        refuse(Refusal::Rate);
        refuse(Refusal::Rate);
        assert_eq!(told.refused(frontend, at(5)), None);
        let more = "2 above source_rate_limit, 1 without a PROXY header";
        assert_eq!(told.refused(frontend, at(11)).as_deref(), Some(more));
        assert_eq!(told.refused(frontend, at(99)), None);
    }

    #[test]
    fn that_something_is_full_is_told_when_it_begins() {
        let mut told = Told::default();
        let start = Instant::now();
        let mut news = |full, seconds| told.is_news(full, start + Duration::from_secs(seconds));
        assert_eq!(
            [(true, 0), (true, 5), (true, 12), (false, 13), (true, 14)].map(|(f, s)| news(f, s)),
            [true, false, false, false, false]
        );
        assert!(!news(false, 30));
        assert!(news(true, 31));
    }
}

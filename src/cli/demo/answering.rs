//! Which servers answer, as told from the last few answers.

use std::collections::{BTreeSet, VecDeque};

use super::servers::Index;

/// Answers that are looked at. Two servers that take turns show twice in each of them.
const WINDOW: usize = 4;

/// Watches answers for changes of who gives them.
#[derive(Debug, Default)]
pub(super) struct Answering {
    announced: BTreeSet<Index>,
    recent: VecDeque<Index>,
}

impl Answering {
    /// Takes an answer of `server`. Returns who answers now, if that has changed for good.
    ///
    /// `is_running` tells a server that is gone from one whose turns other clients have taken.
    pub(super) fn answered(
        &mut self,
        server: Index,
        is_running: impl Fn(Index) -> bool,
    ) -> Option<&BTreeSet<Index>> {
        self.recent.push_back(server);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
        if self.recent.len() < WINDOW {
            return None;
        }
        let (older, newer) = self.recent.make_contiguous().split_at(WINDOW / 2);
        let set = |part: &[Index]| part.iter().copied().collect::<BTreeSet<_>>();
        let now = set(newer);
        let steady = set(older) == now;
        let anybody_new = !now.is_subset(&self.announced);
        let anybody_gone = self.announced.difference(&now).any(|&s| !is_running(s));
        if !(steady && (anybody_new || anybody_gone)) {
            return None;
        }
        self.announced = now;
        Some(&self.announced)
    }

    /// Takes that a request failed: whoever answers next is news.
    pub(super) fn failed(&mut self) {
        self.announced.clear();
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is announced while these answer in turn and those in `stopped` do not run.
    fn announced(
        answering: &mut Answering,
        answers: &[Index],
        stopped: &[Index],
    ) -> Vec<Vec<Index>> {
        let running = |server| !stopped.contains(&server);
        let mut announced = Vec::new();
        for &server in answers {
            if let Some(set) = answering.answered(server, running) {
                announced.push(set.iter().copied().collect());
            }
        }
        announced
    }

    #[test]
    fn each_change_is_announced_once() {
        let mut a = Answering::default();
        assert_eq!(announced(&mut a, &[0, 1, 0, 1, 0, 1], &[]), [[0, 1]]);
        assert_eq!(announced(&mut a, &[1, 1, 1, 1, 1], &[0]), [[1]]);
        assert_eq!(announced(&mut a, &[2, 3, 2, 3, 2], &[0, 1]), [[2, 3]]);
        assert_eq!(announced(&mut a, &[0, 0, 0, 0, 0], &[1]), [[0]]);
        assert_eq!(announced(&mut a, &[1, 0, 1, 0, 1], &[]), [[0, 1]]);
    }

    #[test]
    fn turns_taken_by_other_clients_are_no_change() {
        let mut a = Answering::default();
        announced(&mut a, &[0, 1, 0, 1], &[]);
        assert!(announced(&mut a, &[0, 0, 0, 0, 0, 0, 1, 1, 1, 1], &[]).is_empty());
    }

    #[test]
    fn after_a_failure_the_same_servers_are_news() {
        let mut a = Answering::default();
        announced(&mut a, &[0, 1, 0, 1], &[]);
        a.failed();
        assert_eq!(announced(&mut a, &[0, 1, 0, 1], &[]), [[0, 1]]);
    }
}

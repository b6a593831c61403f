//! The counter that turns check results into up and down.
//!
//! HAProxy's rules (configuration.txt, "rise", "fall", "inter"; `src/check.c`): the counter runs
//! from 0 to `rise + fall - 1`, and at `rise` or more the server is up. It is pure: who checks,
//! when, and what the verdict leads to is decided elsewhere.

use std::time::Duration;

use crate::config::CheckConfig;

/// A check's counter and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckHealth {
    /// 0 to `rise + fall - 1`; at `rise` or more the server is up.
    pub health: u32,
    /// Passes in a row that bring a down server up.
    pub rise: u32,
    /// Failures in a row that take an up server down.
    pub fall: u32,
}

impl CheckHealth {
    /// Whether the counter says up.
    pub fn is_up(&self) -> bool {
        self.health >= self.rise
    }

    /// The counter's largest value: steadily up.
    pub fn maximum(&self) -> u32 {
        self.rise + self.fall - 1
    }

    /// Counts one finished check.
    pub fn record(&mut self, passed: bool) {
        if passed {
            self.health += 1;
            if self.health >= self.rise {
                self.health = self.maximum();
            }
        } else if self.health > self.rise {
            self.health -= 1;
        } else {
            self.health = 0;
        }
    }

    /// How long to wait for the next check (configuration.txt, "inter, fastinter, downinter").
    pub fn interval(&self, check: &CheckConfig) -> Duration {
        let chosen = if self.health == self.maximum() {
            None
        } else if self.health == 0 {
            check.down_interval
        } else {
            check.fast_interval
        };
        chosen.unwrap_or(check.interval)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(health: u32, rise: u32, fall: u32) -> CheckHealth {
        CheckHealth { health, rise, fall }
    }

    fn after(mut judge: CheckHealth, results: &str) -> u32 {
        for result in results.chars() {
            judge.record(result == '+');
        }
        judge.health
    }

    #[test]
    fn the_first_failure_after_the_start_takes_it_down() {
        assert_eq!(after(judge(2, 2, 3), "-"), 0);
    }

    #[test]
    fn one_pass_makes_it_steadily_up() {
        assert_eq!(after(judge(2, 2, 3), "+"), 4);
        assert_eq!(after(judge(4, 2, 3), "--+"), 4);
    }

    #[test]
    fn fall_failures_in_a_row_take_it_down() {
        assert_eq!(after(judge(4, 2, 3), "--"), 2);
        assert_eq!(after(judge(4, 2, 3), "---"), 0);
        assert_eq!(after(judge(4, 2, 3), "--+--"), 2);
    }

    #[test]
    fn rise_passes_in_a_row_bring_it_up() {
        assert_eq!(after(judge(0, 2, 3), "+"), 1);
        assert_eq!(after(judge(0, 2, 3), "+-+"), 1);
        assert_eq!(after(judge(0, 2, 3), "++"), 4);
    }

    #[test]
    fn intervals_follow_the_state() {
        let second = Duration::from_secs(1);
        let check = CheckConfig {
            interval: second * 2,
            fast_interval: Some(second),
            down_interval: Some(second * 5),
            ..CheckConfig::default()
        };
        assert_eq!(judge(4, 2, 3).interval(&check), second * 2);
        assert_eq!(judge(3, 2, 3).interval(&check), second);
        assert_eq!(judge(1, 2, 3).interval(&check), second);
        assert_eq!(judge(0, 2, 3).interval(&check), second * 5);
        assert_eq!(judge(0, 2, 3).interval(&CheckConfig::default()), second * 2);
    }

    proptest! {
        /// A plain model: up or down, and how many results in a row speak against that.
        #[test]
        fn it_agrees_with_counting_in_a_row(
            rise in 1u32..6,
            fall in 1u32..6,
            results in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let mut judge = judge(rise + fall - 1, rise, fall);
            let (mut up, mut against) = (true, 0);
            for passed in results {
                judge.record(passed);
                against = if passed == up { 0 } else { against + 1 };
                if against == if up { fall } else { rise } {
                    (up, against) = (!up, 0);
                }
                prop_assert_eq!(judge.is_up(), up);
                prop_assert!(judge.health <= judge.maximum());
            }
        }
    }
}

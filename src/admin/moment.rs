//! One reading of the clocks for a whole page, and how times are shown.

use std::time::{Duration, Instant, SystemTime};

use maud::{Markup, html};
use time::OffsetDateTime;
use time::macros::format_description;

use super::figures;

/// When a page, or a part of it, is written.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The moment that ages are counted to.
    pub now: Instant,
    wall: SystemTime,
    started: Instant,
    /// Whether ages are left for the page's script to fill in. It counts them on by itself, so
    /// a row whose server only grew older need not be sent again.
    unwritten: bool,
}

impl Moment {
    /// Now, for a process that began at `started`.
    pub fn of(started: Instant) -> Self {
        Self::at(Instant::now(), started)
    }

    /// The moment `now`, which is taken to be the present.
    pub fn at(now: Instant, started: Instant) -> Self {
        Self {
            now,
            wall: SystemTime::now(),
            started,
            unwritten: false,
        }
    }

    /// The same for a page that is shown already and has a script.
    #[must_use]
    pub fn for_script(self) -> Self {
        Self {
            unwritten: true,
            ..self
        }
    }

    /// The time of day.
    pub fn wall(self) -> SystemTime {
        self.wall
    }

    /// How long the process has been running.
    pub fn uptime(self) -> Duration {
        self.now.saturating_duration_since(self.started)
    }

    /// How long ago `then` was.
    pub fn since(self, then: Instant) -> Duration {
        self.now.saturating_duration_since(then)
    }

    /// An age that grows. The script needs no clock for it but the process's own: it is told
    /// in which second of the process it began.
    pub fn age(self, age: Duration) -> Markup {
        let began = self.uptime().saturating_sub(age).as_secs();
        html! { span data-a=(began) { @if !self.unwritten { (figures::age(age)) } } }
    }

    /// The time of day in UTC that was `age` ago; with the date if it was another day.
    pub fn clock(self, age: Duration) -> String {
        self.wall_clock(self.wall.checked_sub(age).unwrap_or(self.wall))
    }

    /// The time of day in UTC at `at`; with the date if that is another day.
    pub fn wall_clock(self, at: SystemTime) -> String {
        let (at, now) = (OffsetDateTime::from(at), OffsetDateTime::from(self.wall));
        let form = if at.date() == now.date() {
            format_description!("[hour]:[minute]:[second]")
        } else {
            format_description!("[day] [month repr:short] [hour]:[minute]")
        };
        at.format(form).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        let started = Instant::now();
        Moment {
            // 2023-11-14T22:13:20Z
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            ..Moment::at(started + Duration::from_secs(4_320), started)
        }
    }

    #[test]
    fn an_age_says_when_it_began() {
        let age = Duration::from_secs(60);
        assert_eq!(moment().age(age).0, "<span data-a=\"4260\">1m 0s</span>");
        let left = moment().for_script().age(age);
        assert_eq!(left.0, "<span data-a=\"4260\"></span>");
        let older_than_the_process = moment().age(Duration::from_secs(5_000));
        assert!(older_than_the_process.0.contains("data-a=\"0\""));
    }

    #[test]
    fn another_day_is_named() {
        let clock = |seconds| moment().clock(Duration::from_secs(seconds));
        assert_eq!(clock(3), "22:13:17");
        assert_eq!(clock(86_400), "13 Nov 22:13");
    }
}

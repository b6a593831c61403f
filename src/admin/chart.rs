//! Small charts of the last minutes, drawn as SVG without a script.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use maud::{Markup, html};

use super::figures::{grouped, shortened};
use crate::events::{Record, Severity};
use crate::history::{KEPT, Passed, SPAN};

/// Units of a chart from its bottom to its top. One sample is one unit wide.
const HEIGHT: u64 = 40;

/// The position of the newest sample.
const LAST: usize = KEPT - 1;

/// The charts of a frontend or backend: its sessions and its bytes. `marks` are the positions
/// at which something happened.
pub fn charts(id: &str, samples: &[Passed], marks: &[usize]) -> Markup {
    let all = |pick: fn(&Passed) -> u64| samples.iter().map(pick).collect::<Vec<_>>();
    let sessions = Line::of(all(|s| s.sessions));
    let (into, out) = (
        Line::of(all(|s| s.bytes_in)),
        Line::of(all(|s| s.bytes_out)),
    );
    let top = into.most.max(out.most);
    let (rate, most) = (per_second(sessions.last), per_second(sessions.most));
    html! {
        div.charts id=(id) {
            figure {
                figcaption { "Sessions/s " b { (rate) } small { " max " (most) } }
                (drawing(
                    &format!("New sessions a second in the last 5 minutes: now {rate}, at most {most}"),
                    marks,
                    &html! { path.area d=(sessions.path(sessions.most, true)) {} },
                ))
            }
            figure {
                figcaption {
                    "Bytes/s in " b { (speed(into.last)) } " out " b { (speed(out.last)) }
                }
                (drawing(
                    &format!(
                        "Bytes a second in the last 5 minutes: in, dashed, now {}, at most {}; \
                         out now {}, at most {}",
                        speed(into.last), speed(into.most), speed(out.last), speed(out.most)
                    ),
                    marks,
                    &html! {
                        path.area.out d=(out.path(top, true)) {}
                        path.into d=(into.path(top, false)) {}
                    },
                ))
            }
        }
    }
}

fn drawing(label: &str, marks: &[usize], lines: &Markup) -> Markup {
    let mut ticks = String::new();
    for mark in marks {
        let _ = write!(ticks, "M{mark} 0v{HEIGHT}");
    }
    html! {
        svg viewBox={ "0 0 " (LAST) " " (HEIGHT) } preserveAspectRatio="none" role="img"
            aria-label=(label)
        {
            @if !ticks.is_empty() { path.mark d=(ticks) {} }
            (lines)
        }
    }
}

/// Where on a chart the events stand that matter and that `is_meant` picks, of those that are
/// not too old for it.
pub fn marks(
    records: &[Arc<Record>],
    now: SystemTime,
    is_meant: impl Fn(&Record) -> bool,
) -> Vec<usize> {
    let mut marks: Vec<_> = records
        .iter()
        .filter(|record| record.event.severity() > Severity::Notice && is_meant(record))
        .filter_map(|record| now.duration_since(record.at).ok())
        .filter_map(|ago| LAST.checked_sub((ago.as_secs() / u64::from(SPAN)) as usize))
        .collect();
    marks.dedup();
    marks
}

/// The values of one line, for a whole [`SPAN`] each.
struct Line {
    values: Vec<u64>,
    last: u64,
    most: u64,
}

impl Line {
    fn of(values: Vec<u64>) -> Self {
        Self {
            last: values.last().copied().unwrap_or(0),
            most: values.iter().copied().max().unwrap_or(0),
            values,
        }
    }

    /// The line as the data of a path, in as few bytes as possible. The newest value is at the
    /// right, and `top` at the top. A filled one goes down to the bottom at both ends.
    fn path(&self, top: u64, filled: bool) -> String {
        let height = |value: u64| {
            let share = u128::from(value) * u128::from(HEIGHT - 1) / u128::from(top.max(1));
            (HEIGHT - share as u64) as i64
        };
        let mut heights = self.values.iter().map(|&value| height(value));
        let Some(first) = heights.next() else {
            return String::new();
        };
        let begin = KEPT - self.values.len();
        let mut path = if filled {
            format!("M{begin} {HEIGHT}V{first}")
        } else {
            format!("M{begin} {first}")
        };
        let (mut before, mut level) = (first, 0);
        for height in heights {
            if height == before {
                level += 1;
                continue;
            }
            push_level(&mut path, level);
            let _ = write!(path, "l1 {}", height - before);
            (before, level) = (height, 0);
        }
        push_level(&mut path, level);
        if filled {
            let _ = write!(path, "V{HEIGHT}");
        }
        path
    }
}

fn push_level(path: &mut String, level: u32) {
    if level > 0 {
        // Writing to a string never fails.
        let _ = write!(path, "h{level}");
    }
}

/// Rounded up: one session in a [`SPAN`] is not none.
fn per_second(sessions: u64) -> String {
    grouped(sessions.div_ceil(SPAN.into()))
}

fn speed(bytes: u64) -> String {
    shortened(bytes.div_ceil(SPAN.into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::events::Event;

    fn samples(sessions: &[u64]) -> Vec<Passed> {
        let sample = |&sessions| Passed {
            sessions,
            bytes_in: sessions * 300,
            bytes_out: sessions * 30_000,
        };
        sessions.iter().map(sample).collect()
    }

    #[test]
    fn the_newest_value_is_at_the_right_and_the_highest_at_the_top() {
        let line = Line::of(vec![0, 10, 10, 5]);
        assert_eq!(line.path(10, true), "M96 40V40l1 -39h1l1 20V40");
        assert_eq!(line.path(10, false), "M96 40l1 -39h1l1 20");
        assert_eq!(Line::of(Vec::new()).path(0, true), "");
        assert_eq!(Line::of(vec![0; KEPT]).path(0, false), "M0 40h99");
        let huge = Line::of(vec![u64::MAX, 0]).path(u64::MAX, false);
        assert_eq!(huge, "M98 1l1 39");
    }

    #[test]
    fn a_chart_says_in_words_what_it_shows() {
        let shown = charts("c", &samples(&[30, 1]), &[]).0;
        let label = "New sessions a second in the last 5 minutes: now 1, at most 10";
        assert!(shown.contains(label), "{shown}");
        let label = "in, dashed, now 100, at most 3,000; out now 10.0 K, at most 300 K";
        assert!(shown.contains(label), "{shown}");
        assert!(!shown.contains("mark"), "{shown}");
        // Else the next would be inside it, and not be drawn.
        let closed = shown.matches("></path>").count();
        assert_eq!(shown.matches("<path").count(), closed, "{shown}");
    }

    #[test]
    fn the_worst_chart_is_small() {
        let jagged: Vec<_> = (0..KEPT as u64).map(|n| n % 2 * 1_000_000).collect();
        let size = charts("c", &samples(&jagged), &[1, 2, 3]).0.len();
        assert!(size < 3_000, "{size}");
    }

    #[test]
    fn what_happened_is_marked_where_it_happened() {
        let now = SystemTime::now();
        let down = |ago| {
            let backend = "bk".to_owned();
            Arc::new(Record {
                number: 1,
                at: now - Duration::from_secs(ago),
                event: Event::BackendDown { backend },
            })
        };
        let records = [down(3_000), down(297), down(30), down(30), down(0)];
        assert_eq!(marks(&records, now, |_| true), [0, 89, 99]);
        assert_eq!(marks(&records, now, |_| false), [0; 0]);
    }
}

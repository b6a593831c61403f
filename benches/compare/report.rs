//! Medians, ratios, and the forms in which they are written.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::json;

use super::metric::Metric;
use super::subjects::Subject;

/// Every figure of a run, in the order in which it was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<(Metric, Subject), Vec<f64>>);

impl Figures {
    pub(crate) fn add(&mut self, metric: Metric, subject: Subject, value: f64) {
        self.0.entry((metric, subject)).or_default().push(value);
    }

    pub(crate) fn median(&self, metric: Metric, subject: Subject) -> Option<f64> {
        let mut values = self.0.get(&(metric, subject))?.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        Some(if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        })
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics: Vec<_> = self.0.keys().map(|(metric, _)| *metric).collect();
        metrics.dedup();
        metrics
    }

    /// Backstop's median over that of `other`.
    fn ratio(&self, metric: Metric, other: Subject) -> Option<f64> {
        Some(self.median(metric, Subject::Backstop)? / self.median(metric, other)?)
    }

    /// A Markdown table of medians, and of Backstop's ratio to each.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from("| median of each round |");
        for subject in Subject::ALL {
            let _ = write!(table, " {} |", subject.name());
        }
        table += " : floor | : HAProxy | : nginx |\n|---|";
        table += &"---:|".repeat(Subject::ALL.len() + 3);
        for metric in self.metrics() {
            let _ = write!(table, "\n| {} |", metric.title());
            for subject in Subject::ALL {
                match self.median(metric, subject) {
                    Some(value) => {
                        let _ = write!(table, " {} |", metric.show(value));
                    }
                    None => table += " |",
                }
            }
            for other in [Subject::Floor, Subject::Haproxy, Subject::Nginx] {
                match self.ratio(metric, other) {
                    Some(ratio) => {
                        let _ = write!(table, " {ratio:.2} |");
                    }
                    None => table += " |",
                }
            }
        }
        table + "\n"
    }

    /// What has to hold, whether it does, as a Markdown table.
    pub(crate) fn verdicts(&self) -> String {
        let mut table = String::from(
            "| Backstop against | floor | HAProxy | nginx stream |\n|---|---|---|---|",
        );
        for metric in self.metrics() {
            let limits = metric.limits();
            if limits.iter().all(Option::is_none) {
                continue;
            }
            let _ = write!(table, "\n| {} |", metric.title());
            let others = [Subject::Floor, Subject::Haproxy, Subject::Nginx];
            for (other, limit) in others.into_iter().zip(limits) {
                match (self.ratio(metric, other), limit) {
                    (Some(ratio), Some(limit)) => {
                        let met = if ratio <= limit { "met" } else { "**not met**" };
                        let _ = write!(table, " {ratio:.2} (≤ {limit:.2}: {met}) |");
                    }
                    _ => table += " – |",
                }
            }
        }
        table + "\n"
    }

    /// Everything, for machines.
    pub(crate) fn json(&self) -> serde_json::Value {
        let figures = self.0.iter().map(|((metric, subject), values)| {
            json!({
                "metric": metric.title(),
                "unit": metric.unit(),
                "subject": subject.name(),
                "median": self.median(*metric, *subject),
                "rounds": values,
            })
        });
        figures.collect()
    }
}

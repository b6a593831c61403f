//! All that is shown.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use super::ask::Told;
use super::snapshot::{Happened, Kind, Row, Snapshot};
use crate::admin::row::Standing;
use crate::cli::ctl::is_refusal;

/// Events that are kept to be shown.
const EVENTS: usize = 200;

/// How long an answer may be missing before that is said.
const LATE: Duration = Duration::from_secs(3);

/// What is shown.
#[derive(Debug)]
pub(super) struct Model {
    /// The path of the socket that is asked.
    pub(super) socket: String,
    pub(super) now: Instant,
    pub(super) snapshot: Option<Box<Snapshot>>,
    seen: Instant,
    /// Why the last look has failed.
    failure: Option<String>,
    /// The newest last.
    pub(super) events: VecDeque<Happened>,
    /// Why there are no events.
    pub(super) no_events: Option<String>,
    pub(super) with_events: bool,
    pub(super) filter: String,
    pub(super) order: Order,
    /// [`Row::path`] and the kind of the chosen row.
    selected: Option<(Kind, String)>,
    pub(super) mode: Mode,
    /// What came of the last command.
    pub(super) said: Option<Said>,
}

/// In which order rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// That of the configuration: frontends, and backends with their servers.
    File,
    /// Servers only, those in trouble first.
    Trouble,
    /// Servers only, those with most sessions first.
    Sessions,
    /// Servers only, those with most bytes per second first.
    Bytes,
}

impl Order {
    /// What `s` leads to.
    pub(super) fn next(self) -> Self {
        match self {
            Self::File => Self::Trouble,
            Self::Trouble => Self::Sessions,
            Self::Sessions => Self::Bytes,
            Self::Bytes => Self::File,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::File => "",
            Self::Trouble => "servers in trouble first",
            Self::Sessions => "servers with most sessions first",
            Self::Bytes => "servers with most bytes first",
        }
    }
}

/// What keys are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// Moving around.
    Looking,
    /// Reading what the keys do.
    Helping,
    /// Typing what rows have to contain.
    Filtering,
    /// Typing the weight of a server.
    Weighing { server: String, typed: String },
    /// Saying whether a command is meant.
    Confirming { question: String, command: String },
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) refused: bool,
}

impl Model {
    /// Nothing is known yet of the process at `socket`.
    pub(super) fn new(socket: String) -> Self {
        let now = Instant::now();
        Self {
            socket,
            now,
            snapshot: None,
            seen: now,
            failure: None,
            events: VecDeque::new(),
            no_events: None,
            with_events: true,
            filter: String::new(),
            order: Order::File,
            selected: None,
            mode: Mode::Looking,
            said: None,
        }
    }

    /// Takes what the runtime API has said at `now`.
    pub(super) fn hear(&mut self, told: Told, now: Instant) {
        match told {
            Told::Looked(Ok(snapshot)) => self.take(snapshot, now),
            Told::Looked(Err(error)) => self.failure = Some(error.to_string()),
            Told::Answered(command, answer) => self.said = Some(Said::of(&command, answer)),
            Told::FromTheFirst => self.events.clear(),
            Told::NoEvents(text) => self.no_events = Some(text),
            Told::Happened(event) => {
                self.no_events = None;
                self.events.push_back(event);
                if self.events.len() > EVENTS {
                    self.events.pop_front();
                }
            }
        }
    }

    /// Takes what a look has found at `now`.
    pub(super) fn take(&mut self, mut snapshot: Box<Snapshot>, now: Instant) {
        if let Some(before) = &self.snapshot {
            let passed = now.saturating_duration_since(self.seen);
            count_flow(&mut snapshot.rows, &before.rows, passed);
        }
        self.snapshot = Some(snapshot);
        self.seen = now;
        self.failure = None;
    }

    /// Why what is shown may no longer be true.
    pub(super) fn trouble(&self) -> Option<String> {
        let silent = self.now.saturating_duration_since(self.seen);
        let why = match &self.failure {
            Some(why) => why.clone(),
            None if silent > LATE => "no answer".to_owned(),
            None => return None,
        };
        let socket = &self.socket;
        let state = match self.snapshot {
            Some(_) => format!("What is shown is {} s old", silent.as_secs()),
            None => "Nothing is known yet".to_owned(),
        };
        Some(format!("{state}; asking again: {socket}: {why}"))
    }

    /// The rows that are shown, in their order.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let rows = self.snapshot.iter().flat_map(|snapshot| &snapshot.rows);
        let wanted = self.filter.to_lowercase();
        let rows = rows.filter(|row| row.path().to_lowercase().contains(&wanted));
        if self.order == Order::File {
            return in_file_order(rows);
        }
        let mut servers: Vec<_> = rows.filter(|row| row.kind == Kind::Server).collect();
        match self.order {
            Order::File => {}
            Order::Trouble => servers.sort_by_key(|row| urgency(row.standing())),
            Order::Sessions => servers.sort_by_key(|row| Reverse(row.sessions)),
            Order::Bytes => {
                servers.sort_by_key(|row| Reverse(row.flow.map(|(to, from)| to + from)));
            }
        }
        servers
    }

    /// The position of the chosen row among [`Self::rows`].
    pub(super) fn position(&self, rows: &[&Row]) -> Option<usize> {
        let (kind, path) = self.selected.as_ref()?;
        rows.iter()
            .position(|row| row.kind == *kind && row.path() == *path)
    }

    /// The chosen row.
    pub(super) fn selected(&self) -> Option<&Row> {
        let rows = self.rows();
        self.position(&rows).map(|position| rows[position])
    }

    /// Chooses the row `by` rows below the chosen one, the first if none is.
    pub(super) fn step(&mut self, by: isize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let position = match self.position(&rows) {
            Some(position) => position.saturating_add_signed(by).min(last),
            None => 0,
        };
        self.selected = rows.get(position).map(|row| (row.kind, row.path()));
    }
}

impl Said {
    fn of(command: &str, answer: io::Result<String>) -> Self {
        match answer {
            Ok(answer) => {
                let refused = is_refusal(command, &answer);
                let answer = answer.trim();
                let text = if answer.is_empty() { "done" } else { answer };
                let text = format!("{command}: {text}");
                Self { text, refused }
            }
            Err(error) => Self {
                text: format!("{command}: {error}"),
                refused: true,
            },
        }
    }
}

/// Each backend before its servers, as in the configuration; `show stat` has it behind them.
fn in_file_order<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<&'a Row> {
    let mut rows: Vec<_> = rows.collect();
    let mut order = HashMap::new();
    for row in &rows {
        let next = order.len();
        order
            .entry((row.kind == Kind::Frontend, &row.proxy))
            .or_insert(next);
    }
    rows.sort_by_key(|row| {
        let proxy = order.get(&(row.kind == Kind::Frontend, &row.proxy));
        (
            row.kind != Kind::Frontend,
            proxy.copied(),
            row.kind == Kind::Server,
        )
    });
    rows
}

/// Counts bytes per second. Counters that went back have begun anew.
fn count_flow(rows: &mut [Row], before: &[Row], passed: Duration) {
    let key = |row: &Row| (row.kind, row.path());
    let before: HashMap<_, _> = before.iter().map(|row| (key(row), row)).collect();
    let milliseconds = passed.as_millis().max(1);
    let per_second = |now: u64, then: u64| {
        let bytes = u128::from(now.checked_sub(then)?);
        u64::try_from(bytes * 1000 / milliseconds).ok()
    };
    for row in rows {
        row.flow = before.get(&key(row)).and_then(|before| {
            let to = per_second(row.bytes_in, before.bytes_in)?;
            Some((to, per_second(row.bytes_out, before.bytes_out)?))
        });
    }
}

/// What needs somebody most comes first.
fn urgency(standing: Standing) -> u8 {
    match standing {
        Standing::Down => 0,
        Standing::GoingUp => 1,
        Standing::GoingDown => 2,
        Standing::Maintenance => 3,
        Standing::Drain => 4,
        Standing::Unchecked => 5,
        Standing::Up => 6,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::snapshot::tests::ANSWER;
    use super::*;

    /// What is shown of the sample after two looks, a second apart.
    pub(in crate::cli::top) fn model() -> Model {
        let mut model = Model::new("/run/backstop.sock".to_owned());
        let mut before = Box::new(Snapshot::of(ANSWER).unwrap());
        for row in &mut before.rows {
            row.bytes_in = 0;
        }
        model.take(before, model.now);
        model.now += Duration::from_secs(1);
        model.take(Box::new(Snapshot::of(ANSWER).unwrap()), model.now);
        model
    }

    fn paths(model: &Model) -> Vec<String> {
        model.rows().iter().map(|row| row.path()).collect()
    }

    #[test]
    fn a_backend_comes_before_its_servers() {
        let mut model = model();
        assert_eq!(
            paths(&model),
            [
                "api",
                "app",
                "main",
                "main/web1",
                "main/web2",
                "main/spare",
                "other",
                "other/o1"
            ]
        );
        model.filter = "MAIN/WEB".to_owned();
        assert_eq!(paths(&model), ["main/web1", "main/web2"]);
    }

    #[test]
    fn other_orders_are_of_servers_only() {
        let mut model = model();
        model.order = Order::Trouble;
        assert_eq!(
            paths(&model),
            ["main/web1", "main/web2", "other/o1", "main/spare"]
        );
        model.order = Order::Sessions;
        assert_eq!(paths(&model)[0], "main/web2");
        model.order = Order::Bytes;
        assert_eq!(paths(&model)[0], "main/web2");
    }

    #[test]
    fn the_chosen_row_stays_chosen_in_another_order() {
        let mut model = model();
        assert!(model.selected().is_none());
        model.step(1);
        assert_eq!(model.selected().unwrap().path(), "api");
        model.step(3);
        assert_eq!(model.selected().unwrap().path(), "main/web1");
        model.order = Order::Sessions;
        assert_eq!(model.selected().unwrap().path(), "main/web1");
        model.step(-100);
        assert_eq!(model.selected().unwrap().path(), "main/web2");
        model.step(100);
        model.filter = "nothing".to_owned();
        assert!(model.selected().is_none());
        model.step(1);
        assert!(model.selected().is_none());
    }

    #[test]
    fn bytes_per_second_are_counted_between_two_looks() {
        let mut model = model();
        let flow = |model: &Model| {
            let rows = model.rows();
            rows.iter()
                .find(|row| row.path() == "main/web2")
                .unwrap()
                .flow
        };
        assert_eq!(flow(&model), Some((1_536_000, 0)));
        // The process was started anew, and counts from nothing.
        let mut anew = Box::new(Snapshot::of(ANSWER).unwrap());
        for row in &mut anew.rows {
            row.bytes_in = 0;
        }
        model.take(anew, model.now + Duration::from_secs(1));
        assert_eq!(flow(&model), None);
    }

    #[test]
    fn what_is_not_known_any_more_is_said() {
        let mut model = model();
        assert_eq!(model.trouble(), None);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        model.hear(Told::Looked(Err(refused)), model.now);
        model.now += Duration::from_secs(2);
        assert_eq!(
            model.trouble().unwrap(),
            "What is shown is 2 s old; asking again: /run/backstop.sock: connection refused"
        );
        model.take(Box::new(Snapshot::of(ANSWER).unwrap()), model.now);
        assert_eq!(model.trouble(), None);
        model.now += LATE * 2;
        assert!(model.trouble().unwrap().contains("no answer"));
    }

    #[test]
    fn an_answer_is_kept_with_whether_it_is_a_refusal() {
        let said = |answer: &str| Said::of("set server a/b state drain", Ok(answer.to_owned()));
        assert_eq!(said("\n").text, "set server a/b state drain: done");
        assert!(!said("\n").refused);
        let refused = said("Permission denied\n\n");
        assert_eq!(
            refused.text,
            "set server a/b state drain: Permission denied"
        );
        assert!(refused.refused);
    }

    #[test]
    fn events_are_bounded_and_begin_anew_with_the_connection() {
        let mut model = model();
        let happened = |number: usize| {
            Told::Happened(Happened {
                time: String::new(),
                severity: String::new(),
                text: number.to_string(),
            })
        };
        model.hear(Told::NoEvents("Permission denied".into()), model.now);
        for number in 0..EVENTS + 5 {
            model.hear(happened(number), model.now);
        }
        assert_eq!(model.no_events, None);
        assert_eq!(model.events.len(), EVENTS);
        assert_eq!(model.events[0].text, "5");
        model.hear(Told::FromTheFirst, model.now);
        assert!(model.events.is_empty());
    }
}

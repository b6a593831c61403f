//! Whether what clients, servers and the proxy say fits together.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::client::{Kind, Told, id_of};
use crate::faults::Fault;
use crate::harness::stats::Row;
use crate::scene::{FARMS, SPARE, Scene};

/// A session as the proxy has logged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    frontend: String,
    /// `backend/server`
    server: String,
    code: String,
    bytes_in: u64,
    bytes_out: u64,
    connected: bool,
}

impl Line {
    fn parse(line: &str) -> Option<(u32, Self)> {
        let (_, text) = line.split_once("soak ")?;
        let words: Vec<_> = text.split_whitespace().collect();
        let [
            source,
            frontend,
            server,
            code,
            bytes_in,
            bytes_out,
            connected,
        ] = words[..]
        else {
            return None;
        };
        let id = id_of(source.parse::<Ipv4Addr>().ok()?)?;
        let line = Self {
            frontend: frontend.to_owned(),
            server: server.to_owned(),
            code: code.to_owned(),
            bytes_in: bytes_in.parse().ok()?,
            bytes_out: bytes_out.parse().ok()?,
            connected: connected != "-1",
        };
        Some((id, line))
    }
}

/// How long a server may take to see that its client has ended, and to tell. One that is killed
/// before has nothing told.
const NOTICED: Duration = Duration::from_secs(3);

/// All that does not fit.
#[derive(Debug, Default)]
pub(crate) struct Breaches(pub(crate) Vec<String>);

/// What the proxy has logged of each session.
pub(crate) fn lines(scene: &Scene, breaches: &mut Breaches) -> HashMap<u32, Line> {
    let mut lines = HashMap::new();
    for text in scene.backstop.log() {
        if let Some((id, line)) = Line::parse(&text)
            && lines.insert(id, line).is_some()
        {
            breaches.add(format!("session {id} is logged twice"));
        }
        if text.contains("log lines were lost") || text.contains("panicked") {
            breaches.add(text);
        }
    }
    breaches
        .0
        .extend(scene.backstop.errors().into_iter().take(5));
    lines
}

impl Breaches {
    pub(crate) fn add(&mut self, what: String) {
        self.0.push(what);
    }

    fn equal(&mut self, what: &str, one: u64, other: u64) {
        if one != other {
            self.add(format!("{what}: {one} is not {other}"));
        }
    }

    /// Judges a session by what all three say of it. Returns the fault that it has failed by.
    pub(crate) fn judge<'f>(
        &mut self,
        told: &Told,
        line: Option<&Line>,
        ledger: Option<&(u64, u64)>,
        faults: &'f [Fault],
    ) -> Option<&'f Fault> {
        let Some(line) = line else {
            self.add(format!("{told:?} left no line in the log"));
            return None;
        };
        let corrupt = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
        let forgotten = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        if told
            .failed
            .as_ref()
            .is_some_and(|error| corrupt(error) || forgotten(error))
        {
            self.add(format!(
                "{told:?} got other bytes than were sent, or nothing at all: {line:?}"
            ));
            return None;
        }
        let expected = match told.kind {
            Kind::HalfOpen => line.code == "cD",
            Kind::Reset => ["--", "CD", "CC", "CQ"].contains(&&*line.code),
            // It takes what the kernel holds for it, which the proxy cannot see.
            Kind::SlowReader => told.failed.is_none() && ["--", "cD"].contains(&&*line.code),
            _ => told.failed.is_none() && line.code == "--",
        };
        if !expected {
            let began = told.began;
            let explains = |fault: &&Fault| fault.explains(&line.server, began, told.ended);
            let fault = faults.iter().find(explains);
            if fault.is_none() {
                self.add(format!(
                    "{told:?} failed, and nothing was done to its server: {line:?}"
                ));
            }
            return fault;
        }
        let whole = !matches!(told.kind, Kind::HalfOpen | Kind::Reset);
        let (sent, received) = (told.sent, told.received);
        if whole && (line.bytes_in, line.bytes_out) != (sent, received) {
            self.add(format!(
                "the client of {told:?} counted otherwise than {line:?}"
            ));
        }
        let killed = |fault: &Fault| fault.explains(&line.server, told.began, told.ended + NOTICED);
        let lost = ledger.is_none() && faults.iter().any(killed);
        if whole && !lost && ledger != Some(&(sent, received)) {
            self.add(format!("the server of {told:?} counted {ledger:?}"));
        }
        if line.bytes_in > sent && !matches!(told.kind, Kind::Reset) || line.bytes_out < received {
            self.add(format!("{told:?} had other bytes than {line:?}"));
        }
        None
    }

    /// Compares the counters with the lines of all sessions, none of which is open.
    pub(crate) fn add_up(&mut self, scene: &Scene, lines: &HashMap<u32, Line>) -> io::Result<()> {
        let rows = scene.rows()?;
        let mut below = [0; 3];
        for farm in FARMS {
            let frontend = format!("ft-{farm}");
            let of: Vec<_> = lines
                .values()
                .filter(|line| line.frontend == frontend)
                .collect();
            self.row(&rows, &frontend, "FRONTEND", &sums(&of));
            let endings = scene.endings(&frontend)?;
            self.equal(
                &format!("ended at {frontend}"),
                endings.values().sum(),
                of.len() as u64,
            );
            for (code, count) in &endings {
                let logged = of.iter().filter(|line| line.code == *code).count() as u64;
                self.equal(&format!("ended as {code} at {frontend}"), *count, logged);
            }
            below = add(below, self.farm(&rows, farm, lines));
        }
        let frontends = rows.iter().filter(|row| row["svname"] == "FRONTEND");
        let above = frontends.map(numbers).fold([0; 3], add);
        for (what, (one, other)) in NAMES.iter().zip(above.iter().zip(&below)) {
            self.equal(
                &format!("{what} of all frontends and of all backends"),
                *one,
                *other,
            );
        }
        Ok(())
    }

    /// Compares a farm's row with those of its servers, and these with the log.
    fn farm(&mut self, rows: &[Row], farm: &str, lines: &HashMap<u32, Line>) -> [u64; 3] {
        let mut servers = [0; 3];
        for row in rows
            .iter()
            .filter(|row| row["pxname"] == farm && row["type"] == "2")
        {
            let path = format!("{farm}/{}", row["svname"]);
            if path == SPARE {
                continue;
            }
            let on = lines
                .values()
                .filter(|line| line.server == path && line.connected);
            self.row(rows, farm, &row["svname"], &sums(&on.collect::<Vec<_>>()));
            servers = add(servers, numbers(row));
        }
        let on_farm = |line: &&Line| line.server.split('/').next() == Some(farm);
        // The spare one counts from zero each time that it is added.
        let spare = lines
            .values()
            .filter(|line| line.server == SPARE && on_farm(line) && line.connected);
        let servers = add(servers, sums(&spare.collect::<Vec<_>>()));
        let own = rows
            .iter()
            .find(|row| row["pxname"] == farm && row["svname"] == "BACKEND");
        let own = own.map_or([0; 3], numbers);
        let unconnected = lines
            .values()
            .filter(|line| on_farm(line) && !line.connected)
            .count();
        self.equal(
            &format!("sessions of {farm}"),
            own[0],
            servers[0] + unconnected as u64,
        );
        self.equal(&format!("bytes in of {farm}"), own[1], servers[1]);
        self.equal(&format!("bytes out of {farm}"), own[2], servers[2]);
        own
    }

    fn row(&mut self, rows: &[Row], proxy: &str, service: &str, wanted: &[u64; 3]) {
        let named = |row: &&Row| row["pxname"] == proxy && row["svname"] == service;
        let Some(row) = rows.iter().find(named) else {
            return self.add(format!("{proxy}/{service} has no row"));
        };
        for (what, (one, other)) in NAMES.iter().zip(numbers(row).iter().zip(wanted)) {
            self.equal(
                &format!("{what} of {proxy}/{service}, counted and logged"),
                *one,
                *other,
            );
        }
        self.equal(
            &format!("open at {proxy}/{service}"),
            number(row, "scur"),
            0,
        );
    }

    /// The first of them in lines.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        for breach in self.0.iter().take(20) {
            let _ = writeln!(text, "BREACH: {breach}");
        }
        if self.0.len() > 20 {
            let _ = writeln!(text, "and {} more", self.0.len() - 20);
        }
        text
    }
}

const NAMES: [&str; 3] = ["sessions", "bytes in", "bytes out"];

fn sums(lines: &[&Line]) -> [u64; 3] {
    let sum = |of: fn(&Line) -> u64| lines.iter().map(|line| of(line)).sum();
    [
        lines.len() as u64,
        sum(|line| line.bytes_in),
        sum(|line| line.bytes_out),
    ]
}

fn numbers(row: &Row) -> [u64; 3] {
    ["stot", "bin", "bout"].map(|name| number(row, name))
}

fn number(row: &Row, name: &str) -> u64 {
    row.get(name)
        .and_then(|value| value.parse().ok())
        .unwrap_or(0)
}

fn add(a: [u64; 3], b: [u64; 3]) -> [u64; 3] {
    std::array::from_fn(|index| a[index] + b[index])
}

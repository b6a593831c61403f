//! The stats page's CSV, as Backstop and HAProxy both write it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::http;
use super::wait::wait_for;

/// A stats page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stats {
    pub(crate) address: SocketAddr,
    /// `USER:PASSWORD`
    pub(crate) auth: &'static str,
}

/// A frontend, server or backend: its fields by name.
pub(crate) type Row = HashMap<String, String>;

impl Stats {
    /// The page of the scenarios' configurations.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let auth = "admin:admin";
        Self { address, auth }
    }

    /// The header line that lets a request in.
    pub(crate) fn authorization(&self) -> String {
        format!("Authorization: Basic {}\r\n", STANDARD.encode(self.auth))
    }

    /// Every row of the page now.
    pub(crate) fn rows(&self) -> io::Result<Vec<Row>> {
        let response = http::get(self.address, "/;csv", &self.authorization())?;
        if response.status != 200 {
            return Err(io::Error::other(format!("status {}", response.status)));
        }
        Ok(parse(&response.body))
    }

    /// The rows of what is named: `server` for any backend's, or `backend/server`.
    pub(crate) fn row(&self, name: &str) -> Row {
        let (proxy, service) = match name.split_once('/') {
            Some((proxy, service)) => (Some(proxy), service),
            None => (None, name),
        };
        let rows = self.rows().expect("the stats page answers");
        let row = rows.into_iter().find(|row| {
            row["svname"] == service && proxy.is_none_or(|proxy| row["pxname"] == proxy)
        });
        row.unwrap_or_else(|| panic!("no row for {name}"))
    }

    /// Waits until the status of what is named is as wanted.
    pub(crate) fn wait_for_status(&self, name: &str, wanted: impl Fn(&str) -> bool) -> String {
        wait_for(&format!("the status of {name} should change"), || {
            let status = self.row(name).remove("status");
            status.filter(|status| wanted(status))
        })
    }

    pub(crate) fn wait_for_down(&self, name: &str) {
        self.wait_for_status(name, |status| status.starts_with("DOWN"));
    }

    /// Waits until it is up and no failed check is remembered.
    pub(crate) fn wait_for_up(&self, name: &str) {
        self.wait_for_status(name, |status| status == "UP");
    }

    /// Waits until a check of the server has passed: from then on it takes more than one
    /// failed check to bring it down.
    pub(crate) fn wait_for_check(&self, name: &str) {
        wait_for(&format!("a check of {name} should pass"), || {
            (self.row(name)["check_status"] == "L4OK").then_some(())
        });
    }
}

fn parse(csv: &str) -> Vec<Row> {
    let mut lines = csv.lines().filter(|line| !line.is_empty());
    let head = lines.next().and_then(|line| line.strip_prefix("# "));
    let names = fields(head.expect("a head line starting with `# `"));
    let row = |line| names.iter().cloned().zip(fields(line)).collect();
    lines.map(row).collect()
}

/// Splits a line at its commas, leaving those in quotes.
fn fields(line: &str) -> Vec<String> {
    let mut quoted = false;
    let mut fields = vec![String::new()];
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().expect("one at least").push(other),
        }
    }
    fields
}

#[test]
fn quoted_commas_do_not_split() {
    assert_eq!(fields("a,\"b, c\",,"), ["a", "b, c", "", ""]);
}

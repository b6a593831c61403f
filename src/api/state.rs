//! `show servers state`, which tools save and read.

use std::fmt::Write as _;
use std::time::Instant;

use super::Api;
use super::command::{Answer, Client};
use crate::admin::row::backend_number;
use crate::config::CheckConfig;
use crate::topology::status::{Admin, Checking, ServerStatus, Slot, State};
use crate::topology::{Backend, Server, Topology};

const HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state \
    srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result \
    srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn \
    srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n";

/// `show servers state [<backend>]` (management.txt, "show servers state").
pub fn show(api: &Api, _: &mut Client, words: &[&str]) -> Answer {
    let topology = &api.running.topology;
    let backends: Vec<_> = match words.first() {
        None => topology.backends.clone(),
        Some(name) => match api.backend(name) {
            Some(backend) => vec![backend.clone()],
            None => return Answer::line("Can't find backend."),
        },
    };
    let (topology, now) = (topology.clone(), Instant::now());
    let lines = backends.into_iter().flat_map(move |backend| {
        let topology = topology.clone();
        (0..backend.servers.len())
            .map(move |position| line(&topology, &backend, &backend.servers[position], now))
    });
    Answer::Pieces(Box::new(std::iter::once(HEADER.to_owned()).chain(lines)))
}

fn line(topology: &Topology, backend: &Backend, server: &Server, now: Instant) -> String {
    let status = server.status();
    let configured = &server.config.address;
    let address = server.address();
    let (host, service) = names(server, &status);
    let mut line = String::with_capacity(128);
    let _ = writeln!(
        line,
        "{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} 0 0 {} {} {} 0 {} {} {} {}",
        backend_number(topology, backend),
        backend.config.name,
        server.id.position + 1,
        server.config.name,
        address.map_or("-".to_owned(), |address| address.ip().to_string()),
        operational(&status),
        administrative(&status),
        server.weight(),
        server.config.weight,
        now.saturating_duration_since(status.since).as_secs(),
        check_status(&status),
        check_result(&status),
        // What an unchecked server has in HAProxy.
        status
            .check
            .map_or(CheckConfig::default().rise, |check| check.health),
        check_state(server, &status),
        u32::from(server.config.agent.is_some()) * (CONFIGURED | ENABLED | AGENT),
        host,
        address.map_or(configured.port, |address| address.port()),
        service,
        server
            .config
            .check
            .as_ref()
            .and_then(|check| check.port)
            .unwrap_or(0),
        server
            .config
            .check
            .as_ref()
            .and_then(|check| check.host.as_deref())
            .unwrap_or("-"),
        server
            .config
            .agent
            .as_ref()
            .and_then(|agent| agent.host.as_deref())
            .unwrap_or("-"),
        server.config.agent.as_ref().map_or(0, |agent| agent.port),
    );
    line
}

/// `srv_fqdn` and `srvrecord`: the name that has its address, and the one whose record says so.
fn names<'a>(server: &'a Server, status: &'a ServerStatus) -> (&'a str, &'a str) {
    let configured = &server.config.address;
    if configured.is_srv() {
        let target = status.record.as_ref().map(|record| record.target.as_str());
        return (target.unwrap_or("-"), &configured.host);
    }
    let name = configured.is_name().then_some(configured.host.as_str());
    (name.unwrap_or("-"), "-")
}

/// `srv_op_state`: 0 stopped, 1 starting, 2 running, 3 stopping.
fn operational(status: &ServerStatus) -> u32 {
    match status.state {
        State::Down | State::Maintenance => 0,
        _ if status.hold.is_some() => 3,
        _ if status.slowstart.is_some() => 1,
        State::Up | State::Unchecked | State::Drain => 2,
    }
}

/// `srv_admin_state`: 1 maintenance, 8 drain, 32 maintenance for want of an address.
fn administrative(status: &ServerStatus) -> u32 {
    let wanted = match status.admin.max(status.agent.admin) {
        Admin::Ready => 0,
        Admin::Drain => 8,
        Admin::Maintenance => 1,
    };
    let no_address = if status.unresolved || status.slot != Slot::Taken {
        32
    } else {
        0
    };
    wanted | no_address
}

/// The codes of checks, at their numbers (`include/haproxy/check-t.h`, `healthcheck_status`).
const CHECK_STATUS: [&str; 21] = [
    "UNK", "INI", "START", "CHECKED", "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK",
    "L6TOUT", "L6RSP", "L7TOUT", "L7RSP", "L57DATA", "L7OK", "L7OKC", "L7STS", "PROCERR",
    "PROCTOUT", "PROCOK",
];

fn check_status(status: &ServerStatus) -> usize {
    let code = status
        .last_check
        .as_ref()
        .map_or("INI", |last| last.status.code());
    CHECK_STATUS
        .iter()
        .position(|known| *known == code)
        .unwrap_or(0)
}

/// `srv_check_result`: 0 unknown, 2 failed, 3 passed.
fn check_result(status: &ServerStatus) -> u32 {
    match &status.last_check {
        None => 0,
        Some(last) if last.status.passed() => 3,
        Some(_) => 2,
    }
}

// `srv_check_state`, added up (`include/haproxy/check-t.h`, `CHK_ST_…`).
const CONFIGURED: u32 = 2;
const ENABLED: u32 = 4;
const PAUSED: u32 = 8;
const AGENT: u32 = 16;

fn check_state(server: &Server, status: &ServerStatus) -> u32 {
    if server.config.check.is_none() {
        return 0;
    }
    let enabled = match status.checking {
        Checking::Wanted => ENABLED,
        Checking::Unwanted => 0,
    };
    let paused = match status.state {
        State::Maintenance => PAUSED,
        _ => 0,
    };
    CONFIGURED | enabled | paused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::sample::{pass_check, single_farm, take_down};

    fn lines() -> Vec<String> {
        let topology = single_farm(false);
        pass_check(&topology, 0, 0, 4);
        take_down(&topology, 0, 1);
        let backend = &topology.backends[0];
        backend.servers[2].update(|status| {
            status.admin = Admin::Maintenance;
            status.change(State::Maintenance, topology.started);
        });
        let now = topology.started + std::time::Duration::from_secs(70);
        backend
            .servers
            .iter()
            .map(|s| line(&topology, backend, s, now))
            .collect()
    }

    /// Compared with what HAProxy 2.6 prints in the same states.
    #[test]
    fn states_are_haproxys_numbers() {
        assert_eq!(
            lines()[..3],
            [
                "3 bk 1 s1 127.0.0.1 2 0 1 1 70 6 3 4 6 0 0 0 - 81 - 0 0 - - 0\n",
                "3 bk 2 s2 127.0.0.1 0 0 1 1 10 8 2 0 6 0 0 0 - 82 - 0 0 - - 0\n",
                "3 bk 3 s3 127.0.0.1 0 1 1 1 70 1 0 2 14 0 0 0 - 83 - 0 0 - - 0\n",
            ]
        );
    }

    #[test]
    fn every_line_has_a_value_for_each_column() {
        let columns = HEADER.lines().nth(1).unwrap().split(' ').count() - 1;
        for line in lines() {
            assert_eq!(line.split(' ').count(), columns, "{line}");
        }
    }
}

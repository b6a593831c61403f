//! Commands that change a server, and `get weight`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Api;
use super::command::{Answer, Client};
use crate::events::Reason;
use crate::supervisor::operator::weight;
use crate::topology::Server;
use crate::topology::status::Admin;

/// `set server B/S state|weight|addr|health|agent …`.
pub fn set(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    on(api, words, |server, words| match words {
        ["state", rest @ ..] => set_state(api, client, server, rest),
        ["weight", rest @ ..] => weigh(api, client, server, rest),
        ["addr", rest @ ..] => set_address(api, client, server, rest),
        ["health", rest @ ..] => set_health(api, client, server, rest),
        ["agent", rest @ ..] => set_agent(api, client, server, rest),
        _ => Answer::line(
            "usage: set server <backend>/<server> addr | agent | health | state | weight",
        ),
    })
}

/// `set weight B/S N|N%`.
pub fn set_weight(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    on(api, words, |server, words| {
        weigh(api, client, server, words)
    })
}

/// `get weight B/S`.
pub fn get_weight(api: &Api, _: &mut Client, words: &[&str]) -> Answer {
    on(api, words, |server, _| {
        let (now, initial) = (server.weight(), server.config.weight);
        Answer::line(format!("{now} (initial {initial})"))
    })
}

/// `disable server B/S`.
pub fn disable(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    on(api, words, |server, _| {
        wish(api, client, server, Admin::Maintenance)
    })
}

/// `enable server B/S`.
pub fn enable(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    on(api, words, |server, _| {
        wish(api, client, server, Admin::Ready)
    })
}

/// `disable health B/S`.
pub fn disable_health(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    on(api, words, |server, _| {
        if server.config.check.is_some() {
            api.supervisor.switch_checks(server, false, &client.who);
        }
        Answer::done()
    })
}

/// `enable health B/S`.
pub fn enable_health(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    on(api, words, |server, _| {
        if server.config.check.is_none() {
            return Answer::line("Health check was not configured on this server, cannot enable.");
        }
        api.supervisor.switch_checks(server, true, &client.who);
        Answer::done()
    })
}

/// Does something with the server that the first word names.
fn on(api: &Api, words: &[&str], act: impl FnOnce(&Arc<Server>, &[&str]) -> Answer) -> Answer {
    match api.server(words.first().copied()) {
        Ok(server) => act(server, words.get(1..).unwrap_or_default()),
        Err(refusal) => Answer::line(refusal),
    }
}

fn wish(api: &Api, client: &Client, server: &Arc<Server>, admin: Admin) -> Answer {
    api.supervisor.set_admin(server, admin, &client.who);
    Answer::done()
}

fn set_state(api: &Api, client: &Client, server: &Arc<Server>, words: &[&str]) -> Answer {
    match words.first() {
        Some(&"ready") => wish(api, client, server, Admin::Ready),
        Some(&"drain") => wish(api, client, server, Admin::Drain),
        Some(&"maint") => wish(api, client, server, Admin::Maintenance),
        _ => Answer::line("'set server <srv> state' expects 'ready', 'drain' and 'maint'."),
    }
}

fn set_health(api: &Api, client: &Client, server: &Arc<Server>, words: &[&str]) -> Answer {
    let up = match words.first() {
        Some(&"up") => true,
        Some(&"down") => false,
        Some(&"stopping") => {
            return Answer::line("'stopping' is not available, use 'state drain'.");
        }
        _ => {
            return Answer::line("'set server <srv> health' expects 'up', 'stopping', or 'down'.");
        }
    };
    if server.config.check.is_none() {
        return Answer::line("Health checks are not enabled on this server.");
    }
    api.supervisor.set_health(server, up, &client.who);
    Answer::done()
}

fn set_agent(api: &Api, client: &Client, server: &Arc<Server>, words: &[&str]) -> Answer {
    if server.config.agent.is_none() {
        return Answer::line("agent checks are not enabled on this server.");
    }
    match words.first() {
        Some(&"up") => api.supervisor.set_agent_health(server, true, &client.who),
        Some(&"down") => api.supervisor.set_agent_health(server, false, &client.who),
        _ => return Answer::line("'set server <srv> agent' expects 'up' or 'down'."),
    }
    Answer::done()
}

fn weigh(api: &Api, client: &Client, server: &Arc<Server>, words: &[&str]) -> Answer {
    match weight(
        words.first().copied().unwrap_or_default(),
        server.config.weight,
    ) {
        Ok(weight) => {
            let who = client.who.clone();
            let reason = Reason::Operator { who };
            api.supervisor.set_weight(server, Some(weight), reason);
            Answer::done()
        }
        Err(refusal) => Answer::line(refusal),
    }
}

fn set_address(api: &Api, client: &Client, server: &Arc<Server>, words: &[&str]) -> Answer {
    let Some(word) = words.first() else {
        return Answer::line("set server <b>/<s> addr requires an address and optionally a port.");
    };
    let Ok(ip) = word.parse::<IpAddr>() else {
        return Answer::line(format!("Invalid addr '{word}' by 'stats socket command'"));
    };
    let known = server.address();
    let configured = server.config.address.port;
    let port = match words.get(1..).unwrap_or_default() {
        [] => Some(known.map_or(configured, |known| known.port())),
        ["port", port, ..] => port.parse().ok().filter(|port| *port > 0),
        _ => None,
    };
    let Some(port) = port else {
        return Answer::line("Invalid port, write 'port' and a number from 1 to 65535.");
    };
    let address = SocketAddr::new(ip, port);
    api.supervisor.move_server(server, address, &client.who);
    Answer::line(moved(known, address, words.len() > 1))
}

/// What HAProxy says of a change (`src/server.c`, `srv_update_addr_port`); of the port only if one
/// was `given`.
fn moved(from: Option<SocketAddr>, to: SocketAddr, given: bool) -> String {
    let Some(from) = from else {
        return format!(
            "IP changed from '' to '{}' by 'stats socket command'",
            to.ip()
        );
    };
    let ip = match (from.ip(), to.ip()) {
        (from, to) if from == to => "no need to change the addr".to_owned(),
        (from, to) => format!("IP changed from '{from}' to '{to}'"),
    };
    let port = match (from.port(), to.port()) {
        _ if !given => String::new(),
        (from, to) if from == to => ", no need to change the port".to_owned(),
        (from, to) => format!(", port changed from '{from}' to '{to}'"),
    };
    format!("{ip}{port} by 'stats socket command'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_new_address_is_haproxys() {
        let said =
            |from: &str, to: &str, given| moved(from.parse().ok(), to.parse().unwrap(), given);
        assert_eq!(
            said("127.0.0.1:1", "127.0.0.2:1", false),
            "IP changed from '127.0.0.1' to '127.0.0.2' by 'stats socket command'"
        );
        assert_eq!(
            said("127.0.0.1:1", "127.0.0.1:2", true),
            "no need to change the addr, port changed from '1' to '2' by 'stats socket command'"
        );
    }
}

//! Commands about frontends, sessions and counters that change something.

use super::command::{Answer, Client};
use super::{Api, Refusal};
use crate::events::Reason;
use crate::proxy::registry::SessionId;

/// `clear counters [all]`.
pub fn clear_counters(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    let all = words.first() == Some(&"all");
    if all && client.level < crate::config::operation::Level::Admin {
        return Answer::line("Permission denied");
    }
    api.supervisor.clear_counters(all, &client.who);
    Answer::done()
}

/// `disable frontend F`.
pub fn disable_frontend(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    switch_frontend(api, client, words, false)
}

/// `enable frontend F`.
pub fn enable_frontend(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    switch_frontend(api, client, words, true)
}

fn switch_frontend(api: &Api, client: &Client, words: &[&str], on: bool) -> Answer {
    let frontend = match api.frontend(words.first().copied()) {
        Ok(frontend) => frontend,
        Err(refusal) => return Answer::line(refusal),
    };
    match api.supervisor.switch_frontend(frontend, on, &client.who) {
        true => Answer::done(),
        false if on => Answer::line("All sockets are already enabled."),
        false => Answer::line("All sockets are already disabled."),
    }
}

/// `shutdown frontend F`, which here can be undone by `enable frontend F`.
pub fn shutdown_frontend(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    switch_frontend(api, client, words, false)
}

/// `shutdown session ID`.
pub fn shutdown_session(_: &Api, _: &mut Client, words: &[&str]) -> Answer {
    let Some(id) = words.first() else {
        return Answer::line("Session pointer expected (use 'show sess').");
    };
    match session_id(id) {
        Some(id) => Answer::End(id),
        None => Answer::line(NO_SESSION),
    }
}

/// What is said of a session that is not there.
pub const NO_SESSION: &str = "No such session (use 'show sess').";

/// The number of a session as `show sess` writes it.
pub fn session_id(word: &str) -> Option<SessionId> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    u64::from_str_radix(digits, 16).ok().map(SessionId)
}

/// `shutdown sessions server B/S`.
pub fn shutdown_sessions(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    match api.server(words.first().copied()) {
        Ok(server) => {
            api.supervisor.shut_down_sessions(server, &client.who);
            Answer::done()
        }
        Err(refusal) => Answer::line(refusal),
    }
}

/// `set maxconn frontend F N`, `set maxconn server B/S N` and `set maxconn global N`; 0 is no
/// limit, and for the process what its descriptors are enough for.
pub fn set_maxconn(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    let supervisor = &api.supervisor;
    match *words {
        ["frontend", name, number, ..] => match (api.frontend(Some(name)), limit(number)) {
            (Ok(frontend), Ok(most)) => {
                supervisor.set_frontend_maxconn(frontend, most, &client.who);
                Answer::done()
            }
            (Err(refusal), _) | (_, Err(refusal)) => Answer::line(refusal),
        },
        ["server", path, number, ..] => match (api.server(Some(path)), limit(number)) {
            (Ok(server), Ok(most)) => {
                let who = client.who.clone();
                let reason = Reason::Operator { who };
                supervisor.set_server_maxconn(server, most, &reason);
                Answer::done()
            }
            (Err(refusal), _) | (_, Err(refusal)) => Answer::line(refusal),
        },
        ["global", number, ..] => match limit(number) {
            Ok(most) => {
                let most = if most == 0 { u32::MAX } else { most };
                supervisor.set_process_maxconn(most, &client.who);
                Answer::done()
            }
            Err(refusal) => Answer::line(refusal),
        },
        ["frontend" | "server" | "global", ..] => Answer::line("Integer value expected."),
        _ => Answer::line("'set maxconn' only supports 'frontend', 'server', and 'global'."),
    }
}

/// Far more than any machine has room for, and far from overflowing when two are added.
const MOST_SESSIONS: u32 = u32::MAX >> 1;

fn limit(word: &str) -> Result<u32, Refusal> {
    match word.parse() {
        Ok(most @ 0..=MOST_SESSIONS) => Ok(most),
        Ok(_) => Err("Value out of range."),
        Err(_) => Err("Integer value expected."),
    }
}

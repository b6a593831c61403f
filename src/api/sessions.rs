//! `show sess`: the open sessions, a few at a time, so that neither the workers nor the control
//! thread are busy with it for long.

use std::time::Duration;

use super::Api;
use super::change::{NO_SESSION, session_id};
use super::command::{Answer, Client};
use crate::proxy::Sessions;
use crate::proxy::registry::{SessionId, SessionInfo};

/// `show sess [<id>]`.
pub fn show(api: &Api, _: &mut Client, words: &[&str]) -> Answer {
    let only = match words.first() {
        None | Some(&"all") => None,
        Some(word) => match session_id(word) {
            Some(id) => Some(id),
            None => return Answer::line(NO_SESSION),
        },
    };
    Answer::Sessions(SessionList {
        sessions: api.sessions.clone(),
        only,
        worker: only.map_or(0, |id| id.worker(api.sessions.workers())),
        from: 0,
    })
}

/// A list of sessions that is read from the workers as it is written.
#[derive(Debug)]
pub struct SessionList {
    sessions: Sessions,
    only: Option<SessionId>,
    worker: usize,
    from: usize,
}

impl SessionList {
    /// The next lines; `None` after the last. They may be empty.
    pub async fn next(&mut self) -> Option<String> {
        if self.worker >= self.sessions.workers() {
            return None;
        }
        let page = self.sessions.list(self.worker, self.from).await;
        let next = page.as_ref().and_then(|page| page.next);
        match next {
            Some(next) => self.from = next,
            None if self.only.is_some() => self.worker = usize::MAX,
            None => (self.worker, self.from) = (self.worker + 1, 0),
        }
        let found = page.into_iter().flat_map(|page| page.sessions);
        let wanted = found.filter(|session| self.only.is_none_or(|only| only == session.id));
        Some(wanted.map(|session| line(&session)).collect())
    }
}

/// Those of the parts of HAProxy's line that say something here, and the bytes.
fn line(session: &SessionInfo) -> String {
    let proto = if session.client.is_ipv4() {
        "tcpv4"
    } else {
        "tcpv6"
    };
    let backend = session.backend.as_ref();
    let server = session.server.as_ref();
    let address = server.and_then(|server| server.address());
    format!(
        "{}: proto={proto} src={} fe={} be={} srv={} addr={} age={} in={} out={}\n",
        session.id,
        session.client,
        session.frontend.config.name,
        backend.map_or("<NONE>", |backend| &backend.config.name),
        server.map_or("<none>", |server| &server.config.name),
        address.map_or("-".to_owned(), |address| address.to_string()),
        age(session.age),
        session.bytes_in,
        session.bytes_out,
    )
}

/// The two greatest units that are not zero, such as `1h5m` (`src/tools.c`, `human_time`).
fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (1.., _, _) => format!("{days}d{hours}h"),
        (0, 1.., _) => format!("{hours}h{minutes}m"),
        (0, 0, 1..) => format!("{minutes}m{seconds}s"),
        (0, 0, 0) => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_haproxy_does() {
        let ages = [0, 59, 60, 3_599, 3_600, 90_000].map(|s| age(Duration::from_secs(s)));
        assert_eq!(ages, ["0s", "59s", "1m0s", "59m59s", "1h0m", "1d1h"]);
    }
}

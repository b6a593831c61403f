//! The log line of a session, in HAProxy's tcplog form.

/// The fields of `%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts …` that tests look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionLine {
    pub(crate) frontend: String,
    pub(crate) backend: String,
    pub(crate) server: String,
    /// Milliseconds from the accept to the end.
    pub(crate) total_time: i64,
    /// Bytes from the server to the client.
    pub(crate) bytes: u64,
    /// How the session ended, such as `--`.
    pub(crate) code: String,
    /// As logged: with a `+` before them when another server was tried.
    pub(crate) retries: String,
}

impl SessionLine {
    /// Reads a log line; `None` if it is not that of a session.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let time = words.iter().position(|word| {
            word.starts_with('[') && word.ends_with(']') && word.matches(':').count() == 3
        })?;
        let [frontend, place, timers, bytes, code, counts] = words.get(time + 1..time + 7)? else {
            return None;
        };
        let (backend, server) = place.split_once('/')?;
        Some(Self {
            frontend: (*frontend).to_owned(),
            backend: backend.to_owned(),
            server: server.to_owned(),
            total_time: timers.rsplit('/').next()?.parse().ok()?,
            bytes: bytes.parse().ok()?,
            code: (*code).to_owned(),
            retries: counts.rsplit('/').next()?.to_owned(),
        })
    }
}

#[test]
fn haproxys_example_line() {
    let line =
        "10.0.1.2:33313 [06/Feb/2009:12:12:51.443] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/+3 0/0";
    let session = SessionLine::parse(line).expect("a session");
    assert_eq!(session.frontend, "fnt");
    assert_eq!((&*session.backend, &*session.server), ("bck", "srv1"));
    assert_eq!((session.total_time, session.bytes), (5007, 212));
    assert_eq!((&*session.code, &*session.retries), ("--", "+3"));
}

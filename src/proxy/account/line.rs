//! The line that a session leaves in the log, in its frontend's format.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use super::Account;
use crate::config::session_format::{Segment, SessionFormat, Style, Variable};
use crate::log::hostname;
use crate::outcome::Outcome;

static TCPLOG: LazyLock<SessionFormat> = LazyLock::new(SessionFormat::tcplog);
static HOSTNAME: LazyLock<String> = LazyLock::new(hostname);

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A session's log line; displayed in the format of its frontend.
pub(super) struct SessionLine<'a> {
    pub(super) account: &'a Account,
    pub(super) outcome: Outcome,
    pub(super) lasted: Duration,
    /// Open in the process, on the frontend, on the backend, on the server.
    pub(super) open: [u32; 4],
}

impl SessionLine<'_> {
    /// Gives it to the log, which looks at the parts only if somebody wants JSON.
    pub(super) fn write(&self) {
        let account = self.account;
        tracing::info!(
            target: "session",
            client = %account.client,
            accepted = %Date(self.accepted()),
            frontend = account.frontend.config.name,
            backend = self.backend_name(),
            server = self.server_name(),
            queue_ms = account.waited().as_millis() as u64,
            queue_ahead = account.ahead(),
            connect_ms = self.connect_time().map(|time| time.as_millis() as u64),
            total_ms = self.lasted.as_millis() as u64,
            bytes_in = account.forwarded.bytes_in.get(),
            bytes_out = account.forwarded.bytes_out.get(),
            termination = %self.outcome,
            retries = account.retries,
            redispatched = account.redispatched,
            "{self}"
        );
    }

    /// The time in queues; `None` if the session neither waited nor got a server.
    fn queue_time(&self) -> Option<Duration> {
        let account = self.account;
        (account.server.is_some() || account.queued.is_some()).then(|| account.waited())
    }

    /// The time it took to connect, without that in queues.
    fn connect_time(&self) -> Option<Duration> {
        let connected = self.account.connect_time?;
        Some(connected.saturating_sub(self.account.waited()))
    }

    /// The time after it was connected.
    fn data_time(&self) -> Option<Duration> {
        let connected = self.account.connect_time?;
        Some(self.lasted.saturating_sub(connected))
    }

    fn backend_name(&self) -> &str {
        let backend = self.account.backend.as_ref();
        backend.map_or(self.account.frontend.config.name.as_str(), |b| {
            b.config.name.as_str()
        })
    }

    fn server_name(&self) -> &str {
        self.account
            .server
            .as_ref()
            .map_or("<NOSRV>", |server| server.config.name.as_str())
    }

    fn accepted(&self) -> OffsetDateTime {
        OffsetDateTime::from(SystemTime::now() - self.lasted)
    }

    /// The addresses of the session's own ends, if its frontend's format asks for them.
    fn ends(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let Some(ends) = self.account.forwarded.ends.get() else {
            return (None, None);
        };
        let at_client = self.account.told_local().or(ends.at_client.get());
        (at_client, ends.at_server.get())
    }

    fn server_address(&self) -> Option<SocketAddr> {
        self.account
            .server
            .as_ref()
            .and_then(|server| server.address())
    }

    fn value(&self, f: &mut fmt::Formatter<'_>, variable: Variable, style: Style) -> fmt::Result {
        use Variable as V;
        let account = self.account;
        let (client_end, server_end) = self.ends();
        let [process, frontend, backend, server] = self.open;
        match variable {
            V::ClientAddress => ip(f, style, Some(account.client)),
            V::ClientPort => port(f, style, Some(account.client)),
            V::FrontendAddress => ip(f, style, client_end),
            V::FrontendPort => port(f, style, client_end),
            V::BackendAddress => ip(f, style, server_end),
            V::BackendPort => port(f, style, server_end),
            V::ServerAddress => ip(f, style, self.server_address()),
            V::ServerPort => port(f, style, self.server_address()),
            V::Frontend | V::FrontendTransport => text(f, style, &account.frontend.config.name),
            V::Backend => text(f, style, self.backend_name()),
            V::Server => text(f, style, self.server_name()),
            V::Date => text(f, style, Date(self.accepted())),
            V::DateUtc | V::DateLocal => text(f, style, UtcDate(self.accepted())),
            V::Timestamp => whole(f, style, self.accepted().unix_timestamp() as u64),
            V::Milliseconds => write!(f, "{:03}", self.accepted().millisecond()),
            V::WaitTime => time(f, self.queue_time()),
            V::ConnectTime => time(f, self.connect_time()),
            V::DataTime => time(f, self.data_time()),
            V::TotalTime | V::UserTime => time(f, Some(self.lasted)),
            V::BytesRead => write!(f, "{}", account.forwarded.bytes_out.get()),
            V::BytesUploaded => write!(f, "{}", account.forwarded.bytes_in.get()),
            V::Termination => text(f, style, self.outcome),
            V::ProcessSessions => write!(f, "{process}"),
            V::FrontendSessions => write!(f, "{frontend}"),
            V::BackendSessions => write!(f, "{backend}"),
            V::ServerSessions => write!(f, "{server}"),
            V::Retries => {
                let plus = if account.redispatched { "+" } else { "" };
                write!(f, "{plus}{}", account.retries)
            }
            // Sessions wait in their backend's queue only.
            V::ServerQueue => f.write_str("0"),
            V::BackendQueue => write!(f, "{}", account.ahead()),
            V::Process => whole(f, style, u64::from(std::process::id())),
            V::Hostname => text(f, style, &*HOSTNAME),
            V::Nothing => Ok(()),
        }
    }
}

impl fmt::Display for SessionLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.account.frontend.config.log_format.as_ref();
        for segment in &format.unwrap_or(&TCPLOG).segments {
            match segment {
                Segment::Text(text) => f.write_str(text)?,
                Segment::Value(variable, style) => self.value(f, *variable, *style)?,
            }
        }
        Ok(())
    }
}

fn text(f: &mut fmt::Formatter<'_>, style: Style, text: impl fmt::Display) -> fmt::Result {
    if style.quoted {
        write!(f, "\"{text}\"")
    } else {
        write!(f, "{text}")
    }
}

fn ip(f: &mut fmt::Formatter<'_>, style: Style, address: Option<SocketAddr>) -> fmt::Result {
    match address.map(|address| address.ip()) {
        None => text(f, style, "-"),
        Some(IpAddr::V4(ip)) if style.hexadecimal => write!(f, "{:08X}", ip.to_bits()),
        Some(IpAddr::V6(ip)) if style.hexadecimal => write!(f, "{:032X}", ip.to_bits()),
        Some(ip) => text(f, style, ip),
    }
}

fn port(f: &mut fmt::Formatter<'_>, style: Style, address: Option<SocketAddr>) -> fmt::Result {
    match address {
        None => text(f, style, "-"),
        Some(address) if style.hexadecimal => write!(f, "{:04X}", address.port()),
        Some(address) => write!(f, "{}", address.port()),
    }
}

fn whole(f: &mut fmt::Formatter<'_>, style: Style, number: u64) -> fmt::Result {
    if style.hexadecimal {
        write!(f, "{number:04X}")
    } else {
        write!(f, "{number}")
    }
}

/// Milliseconds; -1 for what did not come to pass.
fn time(f: &mut fmt::Formatter<'_>, time: Option<Duration>) -> fmt::Result {
    match time {
        Some(time) => write!(f, "{}", time.as_millis()),
        None => f.write_str("-1"),
    }
}

/// Displayed as `06/Feb/2009:12:12:51.443`.
struct Date(OffsetDateTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_date(f, self.0)?;
        write!(f, ".{:03}", self.0.millisecond())
    }
}

/// Displayed as `06/Feb/2009:12:12:51 +0000`.
struct UtcDate(OffsetDateTime);

impl fmt::Display for UtcDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_date(f, self.0)?;
        f.write_str(" +0000")
    }
}

fn write_date(f: &mut fmt::Formatter<'_>, date: OffsetDateTime) -> fmt::Result {
    let month = MONTHS[usize::from(u8::from(date.month())) - 1];
    let (day, year) = (date.day(), date.year());
    let (hour, minute, second) = date.to_hms();
    write!(
        f,
        "{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_haproxys() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_233_922_371_443);
        let at = OffsetDateTime::from(at);
        assert_eq!(Date(at).to_string(), "06/Feb/2009:12:12:51.443");
        assert_eq!(UtcDate(at).to_string(), "06/Feb/2009:12:12:51 +0000");
    }

    /// Displays as a function writes.
    struct Shown<F>(F);

    impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Shown<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0(f)
        }
    }

    #[test]
    fn flags_change_how_values_are_written() {
        let address = Some("127.0.0.1:80".parse().unwrap());
        let six = Some("[::1]:80".parse().unwrap());
        let (plain, hexadecimal) = (
            Style::default(),
            Style {
                hexadecimal: true,
                quoted: false,
            },
        );
        let quoted = Style {
            quoted: true,
            hexadecimal: false,
        };
        assert_eq!(
            Shown(|f: &mut fmt::Formatter<'_>| ip(f, plain, six)).to_string(),
            "::1"
        );
        let shown = Shown(|f: &mut fmt::Formatter<'_>| ip(f, hexadecimal, address));
        assert_eq!(shown.to_string(), "7F000001");
        let shown = Shown(|f: &mut fmt::Formatter<'_>| port(f, hexadecimal, address));
        assert_eq!(shown.to_string(), "0050");
        let shown = Shown(|f: &mut fmt::Formatter<'_>| ip(f, quoted, None));
        assert_eq!(shown.to_string(), "\"-\"");
        assert_eq!(
            Shown(|f: &mut fmt::Formatter<'_>| time(f, None)).to_string(),
            "-1"
        );
    }
}

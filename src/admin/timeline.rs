//! The last events, the newest first, each with its cause.

use std::sync::Arc;

use maud::{Markup, html};

use super::figures::lapse;
use super::moment::Moment;
use crate::events::words::some;
use crate::events::{Event, Record, ServerChange, Severity};

/// How many events the page shows; `/events.json` has the others.
pub const SHOWN: usize = 20;

/// The list of the last of `records`, which are in the order of their numbers.
pub fn timeline(id: &str, records: &[Arc<Record>], moment: Moment) -> Markup {
    html! {
        ol.timeline id=(id) {
            @for record in records.iter().rev().take(SHOWN) { (entry(record, moment)) }
            @if records.is_empty() { li.quiet { "Nothing has happened since the start." } }
        }
    }
}

fn entry(record: &Record, moment: Moment) -> Markup {
    let event = &record.event;
    let (what, why) = (what(event), why(event));
    html! {
        li class=(event.severity().word()) {
            time datetime=(record.time()) { (moment.wall_clock(record.at)) }
            div {
                span.sign aria-hidden="true" { (sign(event)) }
                b { (what) }
                @if !why.is_empty() { p { (why) } }
            }
        }
    }
}

/// What the colour says too.
fn sign(event: &Event) -> &'static str {
    match (event, event.severity()) {
        (Event::RouteChanged { .. }, _) => "→",
        (_, Severity::Emergency) => "✖",
        (_, Severity::Warning) => "▼",
        (_, Severity::Notice) => "▲",
    }
}

fn what(event: &Event) -> String {
    match event {
        Event::ServerDown(change) => format!("{} is down", subject(change)),
        Event::ServerUp(change) => format!("{} is up", subject(change)),
        Event::ServerDrain(change) => format!("{} drains", subject(change)),
        Event::ServerMaintenance(change) => format!("{} is in maintenance", subject(change)),
        Event::ServerReleased { server, .. } => format!("{server} is used again"),
        Event::WeightChanged {
            server, from, to, ..
        } => format!("{server} has weight {to} in place of {from}"),
        Event::AddressChanged {
            server, from, to, ..
        } => match from {
            Some(from) => format!("{server} has moved from {from} to {to}"),
            None => format!("{server} took {to}"),
        },
        Event::ChecksSwitched { server, on, .. } => {
            let how = if *on { "checked again" } else { "not checked" };
            format!("{server} is {how}")
        }
        Event::AdminChanged {
            server, from, to, ..
        } => format!("{server} is wanted {to} in place of {from}"),
        Event::FrontendSwitched { frontend, on, .. } => {
            let how = if *on { "accepts sessions" } else { "is paused" };
            format!("{frontend} {how}")
        }
        Event::SessionsEnded { on, count, .. } => {
            let sessions = if *count == 1 { "session" } else { "sessions" };
            format!("{count} {sessions} on {on} ended by force")
        }
        Event::RouteChanged { frontend, to, .. } => format!("{frontend} now goes to {to}"),
        Event::BackendDown { backend } => format!("{backend} has no server"),
        Event::BackendUp { backend, .. } => format!("{backend} has a server again"),
        Event::HookSucceeded(run) => format!("Hook {} ran", run.hook),
        Event::HookFailed(run) => format!("Hook {} failed", run.hook),
        Event::Reloaded { .. } => "The configuration was reloaded".to_owned(),
        Event::ReloadFailed { .. } => "The configuration was not reloaded".to_owned(),
    }
}

fn why(event: &Event) -> String {
    match event {
        Event::ServerDown(change) | Event::ServerMaintenance(change) => {
            let (why, left) = (change.reason.brief(), left(change));
            let toll = match (change.toll.moved, change.toll.failed) {
                (0, 0) => String::new(),
                (moved, failed) => format!(", {moved} moved off it, {failed} failed"),
            };
            format!("{why}. {left}, {} sessions open{toll}", change.sessions)
        }
        Event::ServerUp(change) => {
            let held = change.held.map(|held| format!(" Kept back: {held}."));
            format!("{}.{}", change.reason.brief(), held.unwrap_or_default())
        }
        Event::ServerDrain(change) => format!("{}. {}", change.reason.brief(), left(change)),
        Event::ServerReleased { held, .. } => format!("It was kept back: {held}"),
        Event::WeightChanged { reason, .. }
        | Event::AddressChanged { reason, .. }
        | Event::ChecksSwitched { reason, .. }
        | Event::AdminChanged { reason, .. }
        | Event::FrontendSwitched { reason, .. } => reason.brief(),
        Event::SessionsEnded { why, .. } => why.to_string(),
        Event::RouteChanged { from, route, .. } => format!("{route}. Before: {from}"),
        Event::BackendDown { .. } => String::new(),
        Event::BackendUp {
            without, failed, ..
        } => format!(
            "After {} without one; sessions that failed: {failed}",
            lapse(*without)
        ),
        Event::HookSucceeded(run) | Event::HookFailed(run) => format!("{run}"),
        Event::Reloaded { who, changes, .. } => format!("{}. Reason: {who}", some(changes)),
        Event::ReloadFailed { who, reason } => {
            format!("{reason}. Everything goes on as before. Reason: {who}")
        }
    }
}

fn subject(change: &ServerChange) -> String {
    let backup = if change.backup { "Backup " } else { "" };
    format!("{backup}{}", change.server)
}

fn left(change: &ServerChange) -> String {
    let (primaries, backups) = (change.primaries, change.backups);
    format!("{primaries} active and {backups} backup servers left")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::*;
    use crate::events::Reason;
    use crate::topology::status::{CheckReport, CheckStatus, State, Toll};

    fn record(number: u64, event: Event) -> Arc<Record> {
        Arc::new(Record {
            number,
            at: SystemTime::now(),
            event,
        })
    }

    fn shown(records: &[Arc<Record>]) -> String {
        timeline("e", records, Moment::of(Instant::now())).0
    }

    #[test]
    fn a_dead_server_is_told_with_the_evidence() {
        let change = ServerChange {
            server: "bk/<s>".into(),
            backup: true,
            from: State::Up,
            to: State::Down,
            reason: Reason::Check(CheckReport {
                status: CheckStatus::L4Connection,
                code: None,
                info: "Connection refused".into(),
                duration: Duration::from_millis(2),
            }),
            primaries: 1,
            backups: 0,
            on_backup: false,
            sessions: 3,
            toll: Toll {
                moved: 7,
                failed: 1,
            },
            held: None,
        };
        let shown = shown(&[record(1, change.event())]);
        assert!(shown.contains("<li class=\"warning\">"), "{shown}");
        assert!(
            shown.contains("<b>Backup bk/&lt;s&gt; is down</b>"),
            "{shown}"
        );
        let why = "<p>Layer4 connection problem: Connection refused (in 2ms). 1 active and 0 backup servers left, 3 sessions open, 7 moved \
                   off it, 1 failed</p>";
        assert!(shown.contains(why), "{shown}");
    }

    #[test]
    fn the_newest_events_come_first_and_old_ones_are_left_out() {
        let up = |number| {
            let event = Event::BackendUp {
                backend: format!("bk{number}"),
                without: Duration::from_millis(1_500),
                failed: 3,
            };
            record(number, event)
        };
        let records: Vec<_> = (1..=SHOWN as u64 + 5).map(up).collect();
        let shown = shown(&records);
        assert_eq!(shown.matches("<li").count(), SHOWN);
        let (newest, older) = (shown.find("bk25 has"), shown.find("bk24 has"));
        assert!(newest.is_some() && newest < older, "{shown}");
        assert!(
            shown.contains("<p>After 1.5s without one; sessions that failed: 3</p>"),
            "{shown}"
        );
        assert!(!shown.contains("bk5 has"), "{shown}");
    }

    #[test]
    fn a_quiet_process_says_so() {
        assert!(shown(&[]).contains("Nothing has happened"));
    }
}

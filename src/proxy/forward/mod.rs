//! Bytes both ways between a client and a server, until both directions have ended.
//!
//! A session is one future that moves both directions. It owns no buffer while bytes flow:
//! everything is read into the worker's scratch buffer and written on at once; only what the
//! receiver does not take is kept, and while anything is kept nothing more is read. Bulk goes
//! through pipes of the worker instead, without being copied at all.
//!
//! - [`direction`]: one direction, by copying or by splicing. [`tactic`]: by which of the two.
//! - [`socket`]: reading and writing. [`copy`]: what is kept. [`splice`], [`pipe`]: pipes, and why a full one is never filled.
//! - [`timeouts`]: how long a session may be silent.

mod copy;
mod direction;
pub(super) mod pipe;
mod socket;
mod splice;
mod tactic;
#[cfg(test)]
mod tests;
mod timeouts;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use self::direction::{Broken, Direction, Lent, Moved};
pub(super) use self::timeouts::Timeouts;
use self::timeouts::{Activity, Side};
use super::account::Account;
use super::worker::Worker;
use crate::config::SpliceMode;
use crate::outcome::{Cause, Outcome, Phase};
use crate::sys::sockets;

/// As good as no limit, and within what the timer can count.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Both directions of one session.
struct Relay<'a> {
    worker: &'a Worker,
    account: &'a mut Account,
    client: &'a TcpStream,
    server: &'a TcpStream,
    /// Client to server.
    up: Direction,
    /// Server to client.
    down: Direction,
    activity: Activity,
    timeouts: Timeouts<'a>,
    /// Whether the timer will wake the session without being polled again.
    timer_is_set: bool,
    /// Whether it still matters how long the server takes for its first byte (`silence`).
    awaits_answer: bool,
}

/// Forwards until both directions have ended, one breaks, or a side is silent for too long.
///
/// A direction that ends is passed on as a half-close; a reset as a reset.
// Not an `async fn`, whose future has its arguments twice.
pub(super) fn forward<'a>(
    worker: &'a Worker,
    account: &'a mut Account,
    client: &'a TcpStream,
    server: &'a TcpStream,
    timeouts: Timeouts<'a>,
    splice: SpliceMode,
) -> impl Future<Output = Outcome> + 'a {
    let mut relay = Relay {
        awaits_answer: account.silence().is_some(),
        worker,
        account,
        client,
        server,
        up: Direction::new(splice),
        down: Direction::new(splice),
        activity: Activity::new(Instant::now()),
        timeouts,
        timer_is_set: false,
    };
    async move {
        // One timer for the whole session, moved only when it fires or when a limit gets
        // shorter: setting it anew for each read would cost more than the read's bookkeeping.
        let first = relay.deadline().map(|(first, _)| first);
        let mut timer = pin!(sleep_until(first.unwrap_or_else(|| Instant::now() + NEVER)));
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = relay.poll_forward(cx) {
                return Poll::Ready(outcome);
            }
            relay.poll_timer(cx, timer.as_mut())
        })
        .await
    }
}

impl Relay<'_> {
    fn poll_forward(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        // Down first: what a server said before it hung up still reaches the client, although
        // the next write to the server fails.
        let down = self.poll_down(cx);
        if let Poll::Ready(Err(broken)) = down {
            return Poll::Ready(self.broken(broken, Side::Server));
        }
        let up = self.poll_up(cx);
        if let Poll::Ready(Err(broken)) = up {
            return Poll::Ready(self.broken(broken, Side::Client));
        }
        if up.is_pending() || down.is_pending() {
            // The end of one direction may be what the other side is waiting for.
            if self.up.end_to_pass_on() {
                sockets::finish_sending(self.server);
            }
            if self.down.end_to_pass_on() {
                sockets::finish_sending(self.client);
            }
            return Poll::Pending;
        }
        // Both have ended: closing says so to both sides, without a shutdown first.
        Poll::Ready(Outcome::NORMAL)
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let worker = self.worker;
        let mut scratch = worker.scratch.borrow_mut();
        let mut lent = Lent {
            scratch: &mut scratch,
            pipes: &worker.pipes,
        };
        let (polled, moved) = self.up.poll(cx, self.client, self.server, &mut lent);
        if moved.read > 0 {
            self.account.received(moved.read);
        }
        self.note(moved, Side::Client);
        polled
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let worker = self.worker;
        let mut scratch = worker.scratch.borrow_mut();
        let mut lent = Lent {
            scratch: &mut scratch,
            pipes: &worker.pipes,
        };
        let (polled, moved) = self.down.poll(cx, self.server, self.client, &mut lent);
        if moved.read > 0 {
            self.account.answered(moved.read);
        }
        self.note(moved, Side::Server);
        polled
    }

    fn note(&mut self, moved: Moved, from: Side) {
        self.activity.note(moved, from);
        if self.awaits_answer && from == Side::Server && moved.read > 0 {
            self.account.server_answered();
            self.awaits_answer = false;
        }
        if moved.spliced > 0 || moved.refused {
            self.account.spliced(moved.spliced, moved.refused);
        }
    }

    /// When the server's first byte should have come: it may take its time from the client's
    /// last, so that a long request does not count against it.
    fn answer_due(&self) -> Option<Instant> {
        let silence = self.account.silence().filter(|_| self.awaits_answer)?;
        self.activity
            .unanswered_since()
            .map(|since| since + silence.after)
    }

    /// The outcome when a direction that reads from `from` breaks; the side that did not break
    /// gets a reset.
    fn broken(&mut self, broken: Broken, from: Side) -> Outcome {
        let side = match broken {
            Broken::Reading => from,
            Broken::Writing => from.other(),
        };
        let (cause, whole) = match side {
            Side::Client => (Cause::ClientAbort, self.server),
            Side::Server => (Cause::ServerAbort, self.client),
        };
        sockets::reset_on_close(whole);
        Outcome::new(cause, Phase::Data)
    }

    /// When the session has been silent for too long, and which side is to blame then.
    fn deadline(&self) -> Option<(Instant, Side)> {
        let half_closed = self.up.has_ended() || self.down.has_ended();
        let deadline = self.timeouts.deadline(&self.activity, half_closed);
        match (self.answer_due(), deadline) {
            (Some(due), Some((limit, _))) if limit <= due => deadline,
            (Some(due), _) => Some((due, Side::Server)),
            (None, _) => deadline,
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Outcome> {
        // A limit can appear or vanish when a direction ends or bytes have flowed both ways.
        let Some((deadline, side)) = self.deadline() else {
            return Poll::Pending;
        };
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        } else if self.timer_is_set && !timer.is_elapsed() {
            return Poll::Pending;
        }
        self.timer_is_set = true;
        // Outside of tokio's budget, without which the timer might not be set.
        while pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
            if deadline <= Instant::now() {
                if self.answer_due() == Some(deadline) {
                    self.account.server_was_silent();
                    self.awaits_answer = false;
                    return self.poll_timer(cx, timer);
                }
                let cause = match side {
                    Side::Client => Cause::ClientTimeout,
                    Side::Server => Cause::ServerTimeout,
                };
                return Poll::Ready(Outcome::new(cause, Phase::Data));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

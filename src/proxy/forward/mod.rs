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
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::task::yield_now;
use tokio::time::Sleep;

use self::direction::{Broken, Direction, Lent, Moved};
use self::socket::is_readable;
use self::timeouts::Activity;
pub(super) use self::timeouts::{Side, Timeouts};
use super::account::Account;
use super::worker::Worker;
use crate::config::SpliceMode;
use crate::outcome::{Cause, Outcome, Phase};
use crate::sys::sockets;
use crate::sys::ticks::Tick;

/// How far a session has come: which directions have ended, and which have sent bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    ended: [bool; 2],
    sent: [bool; 2],
}

/// Whether the server knows that it is connected (see [`sockets::connect`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// Not for sure.
    Untold,
    /// It was told, and nobody has said anything.
    Told,
    /// Somebody has said something.
    Over,
}

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
    /// For what the timer is set; `None` before it is.
    timed: Option<Progress>,
    /// The one that a direction registers with a socket.
    waker: Waker,
    opening: Opening,
    /// Whether it still matters how long the server takes for its first byte (`silence`).
    awaits_answer: bool,
}

/// Forwards until both directions have ended, one breaks, or a side is silent for too long.
///
/// A direction that ends is passed on as a half-close; a reset as a reset.
///
/// `timer` may be set for anything: it is moved only when it fires or when a limit is earlier.
/// Setting it anew for each read would cost more than the read's bookkeeping.
// Not an `async fn`, whose future has its arguments twice.
pub(super) fn forward<'a>(
    worker: &'a Worker,
    account: &'a mut Account,
    (client, server): (&'a TcpStream, &'a TcpStream),
    timeouts: Timeouts<'a>,
    splice: SpliceMode,
    mut timer: Pin<&'a mut Sleep>,
) -> impl Future<Output = Outcome> + 'a {
    let mut relay = Relay {
        awaits_answer: account.silence().is_some(),
        activity: Activity::new(Tick::now()),
        worker,
        account,
        client,
        server,
        up: Direction::new(splice),
        down: Direction::new(splice),
        timeouts,
        opening: Opening::Untold,
        timed: None,
        waker: Waker::noop().clone(),
    };
    async move {
        // What the client says first may be about to come. Then one packet is spared, and that the
        // server is told of the connection before it is told what the client wants.
        if !is_readable(client) && !relay.account.client_begins() {
            yield_now().await;
        }
        // Outside of tokio's budget, without which wakers might not be registered. What a session
        // may move before the others have their turn is limited by its directions.
        let forwarding = poll_fn(|cx| {
            if let Poll::Ready(outcome) = relay.poll_forward(cx) {
                return Poll::Ready(outcome);
            }
            relay.poll_timer(cx, timer.as_mut())
        });
        unconstrained(forwarding).await
    }
}

impl Relay<'_> {
    fn poll_forward(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if !self.waker.will_wake(cx.waker()) {
            self.waker.clone_from(cx.waker());
            self.up.forget_waker();
            self.down.forget_waker();
            self.timed = None;
        }
        // Down first: what a server said before it hung up still reaches the client, although
        // the next write to the server fails.
        let down = self.poll_down(cx);
        if let Poll::Ready(Err(broken)) = down {
            return Poll::Ready(self.broken(broken, Side::Server));
        }
        let up = self.poll_up(cx);
        if let (Poll::Ready(Ok(())), Poll::Ready(_)) = (up, down) {
            // Both have ended: closing says so to both sides, without a shutdown first.
            return Poll::Ready(Outcome::NORMAL);
        }
        // The end of one direction may be what the other side is waiting for.
        if self.up.end_to_pass_on() {
            sockets::finish_sending(self.server);
        }
        if self.down.end_to_pass_on() {
            sockets::finish_sending(self.client);
        }
        if self.opening != Opening::Over {
            self.open();
        }
        match up {
            Poll::Ready(Err(broken)) => Poll::Ready(self.broken(broken, Side::Client)),
            _ => Poll::Pending,
        }
    }

    /// Takes note of who says something first. Until somebody does, a server whose clients
    /// usually begin learns of the connection by what its client says, or a moment later.
    fn open(&mut self) {
        match self.activity.sent() {
            [_, true] => self.account.note_first(Side::Server),
            [true, false] => self.account.note_first(Side::Client),
            [false, false] => {
                if !self.account.client_begins() {
                    self.tell_server();
                }
                return;
            }
        }
        self.opening = Opening::Over;
    }

    fn tell_server(&mut self) {
        if self.opening == Opening::Untold {
            sockets::acknowledge(self.server);
            self.opening = Opening::Told;
        }
    }

    #[inline]
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.up.sleeps(self.client) {
            return Poll::Pending;
        }
        let worker = self.worker;
        let mut scratch = worker.scratch.borrow_mut();
        let mut lent = Lent {
            scratch: &mut scratch,
            pipes: &worker.pipes,
        };
        let (from, to) = (self.client, self.server);
        let mut moved = Moved::default();
        let polled = self.up.poll(cx, from, to, &mut lent, &mut moved);
        if moved.read > 0 {
            self.account.received(moved.read);
        }
        self.note(moved, Side::Client);
        polled
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.down.sleeps(self.server) {
            return Poll::Pending;
        }
        let worker = self.worker;
        let mut scratch = worker.scratch.borrow_mut();
        let mut lent = Lent {
            scratch: &mut scratch,
            pipes: &worker.pipes,
        };
        let (from, to) = (self.server, self.client);
        let mut moved = Moved::default();
        let polled = self.down.poll(cx, from, to, &mut lent, &mut moved);
        if moved.read > 0 {
            self.account.answered(moved.read);
        }
        self.note(moved, Side::Server);
        polled
    }

    #[inline]
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
    fn answer_due(&self) -> Option<Tick> {
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
    fn deadline(&self) -> Option<(Tick, Side)> {
        let half_closed = self.up.has_ended() || self.down.has_ended();
        let deadline = self.timeouts.deadline(&self.activity, half_closed);
        match (self.answer_due(), deadline) {
            (Some(due), Some((limit, _))) if limit <= due => deadline,
            (Some(due), _) => Some((due, Side::Server)),
            (None, _) => deadline,
        }
    }

    /// What decides which limits hold. While it stays, bytes only move the deadline on.
    fn progress(&self) -> Progress {
        Progress {
            ended: [self.up.has_ended(), self.down.has_ended()],
            sent: self.activity.sent(),
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Poll<Outcome> {
        if self.timed == Some(self.progress()) && !timer.is_elapsed() {
            return Poll::Pending;
        }
        self.poll_deadline(cx, timer)
    }

    #[cold]
    fn poll_deadline(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Outcome> {
        // A limit can appear or vanish when a direction ends or bytes have flowed both ways.
        let Some((deadline, side)) = self.deadline() else {
            if self.opening == Opening::Untold && timer.poll(cx).is_ready() {
                self.tell_server();
            }
            return Poll::Pending;
        };
        // The last bytes may have moved just before the next tick.
        let over = deadline + Tick::length();
        if over.instant() < timer.deadline() {
            timer.as_mut().reset(over.instant());
        }
        self.timed = Some(self.progress());
        while timer.as_mut().poll(cx).is_ready() {
            // It was set for when the connection attempt would have been slow.
            self.tell_server();
            if over <= Tick::now() {
                if self.answer_due() == Some(deadline) {
                    self.account.server_was_silent();
                    self.awaits_answer = false;
                    return self.poll_deadline(cx, timer);
                }
                let cause = match side {
                    Side::Client => Cause::ClientTimeout,
                    Side::Server => Cause::ServerTimeout,
                };
                return Poll::Ready(Outcome::new(cause, Phase::Data));
            }
            timer.as_mut().reset(over.instant());
        }
        Poll::Pending
    }
}

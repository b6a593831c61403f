//! One direction of a session.
//!
//! Bytes are read into the worker's scratch buffer and written from it, or spliced through a
//! pipe; which of the two may change whenever nothing is held.

use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use super::copy::Kept;
use super::pipe::{Holding, Pool, is_refusal};
use super::socket::{More, is_readable, poll_readable, poll_recv, poll_send, read_rest};
use super::splice::{Fill, poll_drain, poll_fill};
use super::tactic::Tactic;
use crate::config::SpliceMode;

/// What one direction may move before the worker's other sessions have their turn.
const TURN_BYTES: usize = 4 << 20;

/// One direction of a session.
#[derive(Debug)]
pub(super) struct Direction {
    held: Held,
    state: State,
    tactic: Tactic,
    /// Whether its waker is registered with the sender's socket.
    waits: bool,
}

/// Read but not taken by the receiver yet; while there is any, nothing more is read.
#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Buffer(Kept),
    Pipe(Holding),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The sender has ended; what is held still has to be written.
    Ending,
    /// The sender has broken off; what is held can still be written.
    Breaking,
    /// Everything is written; the receiver does not know of the end yet.
    Ended,
    /// The receiver knows.
    PassedOn,
}

/// Which side of a direction broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The side that is read from.
    Reading,
    /// The side that is written to.
    Writing,
}

/// Bytes moved in one poll.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    pub(super) read: usize,
    pub(super) written: usize,
    /// Those of `read` that were not copied.
    pub(super) spliced: usize,
    /// Whether the kernel turned out not to be able to splice this.
    pub(super) refused: bool,
}

/// What a worker lends to the direction that is being polled.
pub(super) struct Lent<'a> {
    pub(super) scratch: &'a mut [u8],
    pub(super) pipes: &'a Pool,
}

impl Direction {
    pub(super) fn new(mode: SpliceMode) -> Self {
        Self {
            held: Held::Nothing,
            state: State::Open,
            tactic: Tactic::new(mode),
            waits: false,
        }
    }

    /// Whether it waits for `from`, its sender, which has not stirred since: polling it would
    /// change nothing, unless there is another waker now ([`Direction::forget_waker`]).
    pub(super) fn sleeps(&self, from: &TcpStream) -> bool {
        self.waits && !is_readable(from)
    }

    /// Has the next poll register its waker again.
    pub(super) fn forget_waker(&mut self) {
        self.waits = false;
    }

    /// Whether the sender has ended and every byte is written.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended | State::PassedOn)
    }

    /// True once, when the receiver has to be told that the direction has ended.
    pub(super) fn end_to_pass_on(&mut self) -> bool {
        let due = self.state == State::Ended;
        if due {
            self.state = State::PassedOn;
        }
        due
    }

    /// Moves what can be moved now, and adds it to `moved`. Ready when the direction has ended and
    /// every byte is written.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        to: &TcpStream,
        lent: &mut Lent<'_>,
        moved: &mut Moved,
    ) -> Poll<Result<(), Broken>> {
        self.waits = false;
        while !self.has_ended() {
            if !matches!(self.held, Held::Nothing) {
                ready!(self.poll_flush(cx, to, lent.pipes, moved))?;
            }
            match self.state {
                State::Ending => self.state = State::Ended,
                State::Breaking => return Poll::Ready(Err(Broken::Reading)),
                _ if moved.read >= TURN_BYTES => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                _ => {
                    let polled = if self.tactic.splices() {
                        self.poll_splice(cx, from, lent.pipes, moved)
                    } else {
                        self.poll_copy(cx, from, to, lent.scratch, moved)
                    };
                    self.waits = polled.is_pending();
                    ready!(polled)?;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is held, and gives its memory back once all of it is written.
    #[cold]
    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        to: &TcpStream,
        pipes: &Pool,
        moved: &mut Moved,
    ) -> Poll<Result<(), Broken>> {
        let flushed = match std::mem::take(&mut self.held) {
            Held::Nothing => return Poll::Ready(Ok(())),
            Held::Buffer(mut kept) => {
                let flushed = kept.poll_flush(cx, to, &mut moved.written);
                if flushed.is_pending() {
                    self.held = Held::Buffer(kept);
                }
                flushed
            }
            Held::Pipe(holding) => {
                let mut held = Some(holding);
                let flushed = poll_drain(cx, &mut held, to, pipes, &mut moved.written);
                match (flushed, held) {
                    (Poll::Ready(Err(error)), Some(holding)) if is_refusal(&error) => {
                        return self.copy_from(holding, cx, to, pipes, moved);
                    }
                    (flushed, held) => {
                        self.held = held.map_or(Held::Nothing, Held::Pipe);
                        flushed
                    }
                }
            }
        };
        flushed.map_err(|_| Broken::Writing)
    }

    /// Goes on copying what could be spliced into a pipe, but not out of it.
    fn copy_from(
        &mut self,
        holding: Holding,
        cx: &mut Context<'_>,
        to: &TcpStream,
        pipes: &Pool,
        moved: &mut Moved,
    ) -> Poll<Result<(), Broken>> {
        self.refuse(moved);
        let Ok((bytes, pipe)) = holding.into_bytes() else {
            return Poll::Ready(Err(Broken::Writing));
        };
        pipes.put(pipe);
        self.held = Held::Buffer(Kept::new(bytes));
        self.poll_flush(cx, to, pipes, moved)
    }

    /// Pending when the sender has nothing.
    #[inline(never)]
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        pipes: &Pool,
        moved: &mut Moved,
    ) -> Poll<Result<(), Broken>> {
        match ready!(poll_fill(cx, from, pipes)) {
            Ok(Fill::Bytes(holding)) => {
                let bytes = holding.bytes();
                moved.read += bytes;
                moved.spliced += bytes;
                self.tactic.spliced(bytes);
                self.held = Held::Pipe(holding);
            }
            Ok(Fill::End) => self.state = State::Ending,
            Ok(Fill::NoPipe) => self.tactic.no_pipe(),
            Err(error) if is_refusal(&error) => self.refuse(moved),
            Err(_) => return Poll::Ready(Err(Broken::Reading)),
        }
        Poll::Ready(Ok(()))
    }

    /// Pending when the sender has nothing.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        to: &TcpStream,
        scratch: &mut [u8],
        moved: &mut Moved,
    ) -> Poll<Result<(), Broken>> {
        let Ok(mut read) = ready!(poll_recv(cx, from, scratch)) else {
            return Poll::Ready(Err(Broken::Reading));
        };
        if read == 0 {
            self.state = State::Ending;
            return Poll::Ready(Ok(()));
        }
        match read_rest(from, &mut scratch[read..]) {
            None => {}
            Some(Ok(0)) => self.state = State::Ending,
            Some(Ok(more)) => read += more,
            Some(Err(_)) => self.state = State::Breaking,
        }
        let drained = read < scratch.len();
        self.tactic.copied(!drained);
        moved.read += read;
        let bytes = &scratch[..read];
        let more = match self.state {
            State::Ending => More::End,
            _ => More::Unknown,
        };
        let written = match poll_send(cx, to, bytes, more) {
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Writing)),
            Poll::Pending => 0,
        };
        moved.written += written;
        if written < bytes.len() {
            self.hold(&bytes[written..]);
        } else if drained && self.state == State::Open {
            // The next thing would be to try in vain.
            return poll_readable(cx, from).map_err(|_| Broken::Reading);
        }
        Poll::Ready(Ok(()))
    }

    #[cold]
    fn hold(&mut self, bytes: &[u8]) {
        self.held = Held::Buffer(Kept::new(bytes.to_vec()));
    }

    fn refuse(&mut self, moved: &mut Moved) {
        self.tactic.refused();
        moved.refused = true;
    }
}

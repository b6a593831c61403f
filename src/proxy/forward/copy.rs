//! One direction of a session, by reading into a shared buffer and writing from it.
//!
//! Reads and writes go through tokio's `poll_read` and `poll_write`, which take a short read or
//! write to mean that the socket is drained or full and spare the call that would only return
//! `EAGAIN`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// One direction of a session.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Read but not taken by the receiver yet; while there is any, nothing more is read.
    kept: Vec<u8>,
    /// How much of `kept` the receiver has taken.
    taken: usize,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The sender has ended; what is kept still has to be written.
    Ending,
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
}

impl Direction {
    /// Moves what can be moved now. Ready when the direction has ended and every byte is
    /// written.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        scratch: &mut [u8],
    ) -> (Poll<Result<(), Broken>>, Moved) {
        let mut moved = Moved::default();
        let polled = self.poll_moving(cx, from, to, scratch, &mut moved);
        (polled, moved)
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

    fn poll_moving(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        scratch: &mut [u8],
        moved: &mut Moved,
    ) -> Poll<Result<(), Broken>> {
        while !self.has_ended() {
            ready!(self.poll_flush(cx, to, moved))?;
            if self.state == State::Ending {
                self.state = State::Ended;
                break;
            }
            let mut buffer = ReadBuf::new(scratch);
            if ready!(Pin::new(&mut *from).poll_read(cx, &mut buffer)).is_err() {
                return Poll::Ready(Err(Broken::Reading));
            }
            let bytes = buffer.filled();
            if bytes.is_empty() {
                self.state = State::Ending;
                continue;
            }
            moved.read += bytes.len();
            match Pin::new(&mut *to).poll_write(cx, bytes) {
                Poll::Ready(Ok(written)) => {
                    moved.written += written;
                    self.kept.extend_from_slice(&bytes[written..]);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Writing)),
                Poll::Pending => self.kept.extend_from_slice(bytes),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what was kept, and gives its memory back once all of it is written.
    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut TcpStream,
        moved: &mut Moved,
    ) -> Poll<Result<(), Broken>> {
        while self.taken < self.kept.len() {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.kept[self.taken..])) {
                Ok(written) => {
                    self.taken += written;
                    moved.written += written;
                }
                Err(_) => return Poll::Ready(Err(Broken::Writing)),
            }
        }
        if self.taken > 0 {
            self.kept = Vec::new();
            self.taken = 0;
        }
        Poll::Ready(Ok(()))
    }
}

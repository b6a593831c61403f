//! Splicing between pipes and tokio's sockets.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::pipe::{Drained, Filled, Holding, Pool};
use super::socket::attempt;

/// What a sender had.
#[derive(Debug)]
pub(super) enum Fill {
    /// These bytes.
    Bytes(Holding),
    /// Nothing any more.
    End,
    /// Unknown, since there is no pipe.
    NoPipe,
}

/// Moves what `from` has into an empty pipe.
///
/// The pipe goes back to `pool` unless it holds bytes, so that a direction that waits for its
/// sender has none.
pub(super) fn poll_fill(
    cx: &mut Context<'_>,
    from: &TcpStream,
    pool: &Pool,
) -> Poll<io::Result<Fill>> {
    loop {
        let fill = || pool.take().map(|pipe| pipe.fill(from));
        let is_drained = |filled: &Option<Filled>| match filled {
            Some(Filled::Failed(_, error)) => error.kind() == ErrorKind::WouldBlock,
            _ => false,
        };
        let (pipe, fill) = match attempt(from, Interest::READABLE, fill, is_drained) {
            None => {
                ready!(from.poll_read_ready(cx))?;
                continue;
            }
            Some(None) => return Poll::Ready(Ok(Fill::NoPipe)),
            Some(Some(Filled::Holding(holding))) => {
                return Poll::Ready(Ok(Fill::Bytes(holding)));
            }
            Some(Some(Filled::Ended(pipe))) => (pipe, Ok(Fill::End)),
            Some(Some(Filled::Failed(pipe, error))) => (pipe, Err(error)),
        };
        pool.put(pipe);
        match fill {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return Poll::Ready(other),
        }
    }
}

/// Empties `held` into `to`, counting into `written`, and gives the pipe back to `pool`. While
/// this is pending and after an error, `held` has what is left.
pub(super) fn poll_drain(
    cx: &mut Context<'_>,
    held: &mut Option<Holding>,
    to: &TcpStream,
    pool: &Pool,
    written: &mut usize,
) -> Poll<io::Result<()>> {
    while held.is_some() {
        let drain = || held.take().map(|holding| holding.drain(to));
        let is_full = |drained: &Option<Result<_, (_, io::Error)>>| match drained {
            Some(Err((_, error))) => error.kind() == ErrorKind::WouldBlock,
            _ => false,
        };
        match attempt(to, Interest::WRITABLE, drain, is_full).flatten() {
            None => ready!(to.poll_write_ready(cx))?,
            Some(Ok((moved, drained))) => {
                *written += moved;
                match drained {
                    Drained::Empty(pipe) => pool.put(pipe),
                    Drained::Holding(holding) => *held = Some(holding),
                }
            }
            Some(Err((holding, error))) => {
                *held = Some(holding);
                if error.kind() != ErrorKind::WouldBlock {
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
    Poll::Ready(Ok(()))
}

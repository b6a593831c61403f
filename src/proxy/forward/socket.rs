//! Reading, writing and splicing with as few calls as tokio's readiness allows.
//!
//! An operation is tried first and waited for only if it cannot be done now. One that moves less
//! than it could has drained its socket, or filled it: tokio is told so at once, which spares
//! the call that would only say `EAGAIN`. System calls are made directly: the C library's
//! wrappers are cancellation points, which in a process with threads cost more than they do.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads what `stream` has into `buffer`; nothing if it has ended.
pub(super) fn poll_recv(
    cx: &mut Context<'_>,
    stream: &TcpStream,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let length = buffer.len();
    loop {
        let read = || recv(stream, &mut *buffer, RecvFlags::empty()).map(|(_, read)| read);
        // Reading nothing is the end, which does not go away by waiting.
        let drained = |read: &_| match read {
            Ok(read) => (1..length).contains(read),
            Err(errno) => *errno == Errno::AGAIN,
        };
        match attempt(stream, Interest::READABLE, read, drained) {
            None | Some(Err(Errno::AGAIN)) => ready!(poll_readable(cx, stream))?,
            Some(result) => return Poll::Ready(Ok(result?)),
        }
    }
}

/// Reads on after a read that left room in the buffer, if more than bytes was announced with
/// them: the end, mostly. `None` means that nothing was, or nothing has come of it.
pub(super) fn read_rest(stream: &TcpStream, rest: &mut [u8]) -> Option<Result<usize, Errno>> {
    if rest.is_empty() {
        return None;
    }
    let read = || recv(stream, &mut *rest, RecvFlags::empty()).map(|(_, read)| read);
    let again = |read: &_| *read == Err(Errno::AGAIN);
    attempt(stream, Interest::READABLE, read, again).filter(|read| !again(read))
}

/// Whether reading `stream` would move something: bytes, the end or an error.
pub(super) fn is_readable(stream: &TcpStream) -> bool {
    stream.try_io(Interest::READABLE, || Ok(())).is_ok()
}

/// Waits until [`is_readable`].
pub(super) fn poll_readable(cx: &mut Context<'_>, stream: &TcpStream) -> Poll<io::Result<()>> {
    stream.poll_read_ready(cx)
}

/// What follows the bytes that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Unknown,
    /// The end, at once, so that it can go in the same segment.
    End,
}

/// Writes what `stream` takes of `bytes`.
#[inline]
pub(super) fn poll_send(
    cx: &mut Context<'_>,
    stream: &TcpStream,
    bytes: &[u8],
    more: More,
) -> Poll<io::Result<usize>> {
    let flags = match more {
        More::Unknown => SendFlags::NOSIGNAL,
        More::End => SendFlags::NOSIGNAL | SendFlags::MORE,
    };
    loop {
        let write = || send(stream, bytes, flags);
        let full = |written: &_| match written {
            Ok(written) => *written < bytes.len(),
            Err(errno) => *errno == Errno::AGAIN,
        };
        match attempt(stream, Interest::WRITABLE, write, full) {
            None | Some(Err(Errno::AGAIN)) => ready!(stream.poll_write_ready(cx))?,
            Some(result) => return Poll::Ready(Ok(result?)),
        }
    }
}

/// Does `operation` if `stream` is thought ready, and has tokio wait for the socket again if
/// the result `exhausts` it. `None` means that it is not ready.
pub(super) fn attempt<T>(
    stream: &TcpStream,
    interest: Interest,
    operation: impl FnOnce() -> T,
    exhausts: impl FnOnce(&T) -> bool,
) -> Option<T> {
    let mut result = None;
    // What it returns is known from `result`; it is called for what it does to the readiness.
    let _ = stream.try_io(interest, || {
        if exhausts(result.insert(operation())) {
            Err(ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    });
    result
}

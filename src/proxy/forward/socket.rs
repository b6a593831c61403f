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
            None | Some(Err(Errno::AGAIN)) => ready!(stream.poll_read_ready(cx))?,
            Some(result) => return Poll::Ready(Ok(result?)),
        }
    }
}

/// Writes what `stream` takes of `bytes`.
pub(super) fn poll_send(
    cx: &mut Context<'_>,
    stream: &TcpStream,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        let write = || send(stream, bytes, SendFlags::NOSIGNAL);
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

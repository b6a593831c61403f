//! Bytes that the receiver did not take, kept until it does.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// Read but not taken by the receiver yet.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    /// How much of `bytes` the receiver has taken.
    taken: usize,
}

impl Kept {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, taken: 0 }
    }

    /// Writes what can be written now, counting it into `written`. Ready when nothing is left.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut TcpStream,
        written: &mut usize,
    ) -> Poll<std::io::Result<()>> {
        while self.taken < self.bytes.len() {
            let count = ready!(Pin::new(&mut *to).poll_write(cx, &self.bytes[self.taken..]))?;
            self.taken += count;
            *written += count;
        }
        Poll::Ready(Ok(()))
    }
}

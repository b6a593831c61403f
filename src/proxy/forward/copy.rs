//! Bytes that the receiver did not take, kept until it does.

use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use super::socket::{More, poll_send};

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
        to: &TcpStream,
        written: &mut usize,
    ) -> Poll<std::io::Result<()>> {
        while self.taken < self.bytes.len() {
            let count = ready!(poll_send(cx, to, &self.bytes[self.taken..], More::Unknown))?;
            self.taken += count;
            *written += count;
        }
        Poll::Ready(Ok(()))
    }
}

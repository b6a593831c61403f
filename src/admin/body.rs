//! Long answers, a piece at a time.
//!
//! A page of ten thousand servers takes tens of milliseconds to write. So it is written as it is
//! sent, a few rows at a time: other requests get their turn between two pieces, and other threads
//! within them. A client that reads slowly holds one piece, not the page.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};

use crate::sys::courtesy::offer_core;

/// About 25 microseconds' work: 10,000 servers are 6 MB of HTML and take 17 ms in all. The kernel
/// gives the core to nobody else while it sends one.
const PIECE: usize = 8 * 1024;

/// A body that is written while it is sent.
pub struct Pieces {
    source: Box<dyn Iterator<Item = String> + Send>,
    /// Set after a piece, until the other tasks have had their turn.
    resting: bool,
}

impl Pieces {
    /// The texts of `source`, one after the other.
    pub fn new(source: impl Iterator<Item = String> + Send + 'static) -> Self {
        Self {
            source: Box::new(source),
            resting: false,
        }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let mut next = || {
            offer_core();
            self.source.next()
        };
        let mut piece = next()?;
        while piece.len() < PIECE {
            let Some(more) = next() else {
                break;
            };
            piece.push_str(&more);
        }
        Some(piece.into())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::take(&mut self.resting) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.resting = true;
        Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn nothing_is_lost_and_no_piece_is_long() {
        let text = |n: usize| format!("{n},");
        let mut body = Pieces::new((0..20_000).map(text));
        let (mut whole, mut pieces) = (String::new(), 0);
        while let Some(Ok(frame)) = body.frame().await {
            let piece = frame.into_data().unwrap();
            assert!(piece.len() < PIECE + 8, "{}", piece.len());
            whole += std::str::from_utf8(&piece).unwrap();
            pieces += 1;
        }
        assert_eq!(whole, (0..20_000).map(text).collect::<String>());
        assert_eq!(pieces, whole.len().div_ceil(PIECE));
    }

    #[tokio::test]
    async fn other_tasks_get_their_turn_between_two_pieces() {
        let turns = std::rc::Rc::new(std::cell::Cell::new(0));
        let other = turns.clone();
        let local = tokio::task::LocalSet::new();
        local.spawn_local(async move {
            loop {
                other.set(other.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        let piece = || "x".repeat(PIECE);
        let body = Pieces::new(std::iter::repeat_with(piece).take(10));
        let sent = local.run_until(body.collect()).await;
        assert_eq!(sent.unwrap().to_bytes().len(), 10 * PIECE);
        assert!(turns.get() >= 10, "{}", turns.get());
    }
}

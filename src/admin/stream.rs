//! The body of a live page's stream: everything once, then what changes.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::mpsc;

use super::body::Pieces;
use super::deadline::Deadline;

/// After this a page has to ask for another stream, and has to prove again who asks.
const LIFETIME: Duration = Duration::from_secs(600);

/// What a browser is told at first: after how many milliseconds to come back when it ends.
const BEGINNING: &str = "retry: 1000\n\n";

/// The messages to one page.
pub struct Stream {
    began: Instant,
    /// Whether [`BEGINNING`] was sent.
    greeted: bool,
    /// What is to be sent after the first message: so it lacks no change that is told later.
    everything: Option<Everything>,
    /// What is being sent of it.
    whole: Option<Pieces>,
    /// Ends when the reader has not kept up.
    messages: mpsc::Receiver<Bytes>,
    deadline: Deadline,
}

type Everything = Box<dyn FnOnce() -> Pieces + Send>;

impl Stream {
    /// A stream of `everything`, written after the first of `messages`, and of those that
    /// follow. A message that is taken puts off `deadline`: a connection whose client reads
    /// nothing takes none.
    pub fn new(
        messages: mpsc::Receiver<Bytes>,
        everything: impl FnOnce() -> Pieces + Send + 'static,
        deadline: Deadline,
    ) -> Self {
        Self {
            began: Instant::now(),
            greeted: false,
            everything: Some(Box::new(everything)),
            whole: None,
            messages,
            deadline,
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.began.elapsed() > LIFETIME {
            return Poll::Ready(None);
        }
        this.deadline.put_off();
        if !std::mem::replace(&mut this.greeted, true) {
            return frame(Bytes::from_static(BEGINNING.as_bytes()));
        }
        if let Some(whole) = &mut this.whole {
            match Pin::new(whole).poll_frame(context) {
                Poll::Ready(None) => this.whole = None,
                more => return more,
            }
        }
        let Some(message) = ready!(this.messages.poll_recv(context)) else {
            return Poll::Ready(None);
        };
        this.whole = this.everything.take().map(|everything| everything());
        frame(message)
    }
}

fn frame(bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
    Poll::Ready(Some(Ok(Frame::data(bytes))))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn stream(everything: &'static str) -> (mpsc::Sender<Bytes>, Stream) {
        let (queue, messages) = mpsc::channel(2);
        let everything = move || Pieces::new(std::iter::once(everything.to_owned()));
        let deadline = Deadline::after(Duration::from_secs(60));
        (queue, Stream::new(messages, everything, deadline))
    }

    async fn next(stream: &mut Stream) -> Option<String> {
        let frame = stream.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn everything_comes_after_the_first_message_and_before_the_second() {
        let (queue, mut stream) = stream("everything");
        queue.try_send(Bytes::from_static(b"first")).unwrap();
        queue.try_send(Bytes::from_static(b"second")).unwrap();
        for wanted in [BEGINNING, "first", "everything", "second"] {
            assert_eq!(next(&mut stream).await.as_deref(), Some(wanted));
        }
    }

    #[tokio::test]
    async fn it_ends_when_its_queue_is_taken_away() {
        let (queue, mut stream) = stream("everything");
        queue.try_send(Bytes::from_static(b"first")).unwrap();
        drop(queue);
        let mut frames = Vec::new();
        while let Some(frame) = next(&mut stream).await {
            frames.push(frame);
        }
        assert_eq!(frames, [BEGINNING, "first", "everything"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_taken_puts_off_the_deadline() {
        let (queue, mut stream) = stream("everything");
        let deadline = stream.deadline.clone();
        next(&mut stream).await;
        for _ in 0..3 {
            queue.try_send(Bytes::from_static(b"message")).unwrap();
            tokio::time::advance(Duration::from_secs(50)).await;
            next(&mut stream).await;
        }
        let passed = tokio::time::timeout(Duration::from_secs(59), deadline.passed());
        assert!(passed.await.is_err());
    }
}

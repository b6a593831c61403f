//! Sending and reading within a check's deadline, and within a limit of bytes: what answers may
//! be anything, and may come one byte at a time.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::finding::{Finding, describe};
use super::target::{Deadline, Stream};
use super::tls::TlsClient;

/// The most that is kept of an answer (HAProxy's `tune.bufsize`).
pub(super) const ANSWER: usize = 16_384;

/// A connection with what came over it and was not taken yet.
pub(super) struct Conversation {
    stream: Stream,
    deadline: Deadline,
    received: Vec<u8>,
}

impl Conversation {
    pub(super) fn new(stream: Stream, deadline: Deadline) -> Self {
        Self {
            stream,
            deadline,
            received: Vec::new(),
        }
    }

    /// Goes on by TLS, as protocols do that ask for it in plain text.
    pub(super) async fn secure(self, tls: &TlsClient, host: &str) -> Result<Self, Finding> {
        let stream = tls.connect(self.stream, host, self.deadline).await?;
        Ok(Self::new(Box::new(stream), self.deadline))
    }

    /// Sends all of `bytes`; what was received before is forgotten. `what` names them.
    pub(super) async fn send(&mut self, bytes: &[u8], what: &str) -> Result<(), Finding> {
        self.received.clear();
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let unsent = format!("{what} could not be sent");
        let outcome = self.deadline.answer(&unsent, sent).await?;
        outcome.map_err(|error| lost(&error, what))
    }

    /// What came and was not taken.
    pub(super) fn received(&self) -> &[u8] {
        &self.received
    }

    /// The deadline, for the text when it passes.
    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Whether more cannot be kept.
    pub(super) fn is_full(&self) -> bool {
        self.received.len() >= ANSWER
    }

    /// Waits for more and keeps it, up to [`ANSWER`]. 0 is the end, or that there is no room.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        let room = ANSWER.saturating_sub(self.received.len());
        // The vector grows as needed: most answers are a line, and servers are many.
        let mut limited = (&mut self.stream).take(room as u64);
        limited.read_buf(&mut self.received).await
    }

    /// Reads until `parse` makes something of what came, and takes as many bytes as it says.
    /// `to` names what is being answered.
    pub(super) async fn answer<T>(
        &mut self,
        to: &str,
        parse: impl Fn(&[u8]) -> Parsed<T>,
    ) -> Result<T, Finding> {
        let deadline = self.deadline;
        let reading = async {
            loop {
                match parse(&self.received) {
                    Parsed::Done(value, taken) => {
                        self.received.drain(..taken.min(self.received.len()));
                        return Ok(value);
                    }
                    Parsed::Wrong(info) => return Err(Finding::garbage(info)),
                    Parsed::More if self.is_full() => {
                        let info = format!("the answer to {to} is longer than {ANSWER} bytes");
                        return Err(Finding::garbage(info));
                    }
                    Parsed::More => {}
                }
                match self.read().await {
                    Ok(0) => return Err(closed(to)),
                    Ok(_) => {}
                    Err(error) => return Err(lost(&error, to)),
                }
            }
        };
        deadline
            .answer(&format!("no answer to {to}"), reading)
            .await?
    }
}

/// What a parser makes of the beginning of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<T> {
    /// A value, and how many bytes it took.
    Done(T, usize),
    /// It may become something.
    More,
    /// It can become nothing, and why.
    Wrong(String),
}

fn closed(to: &str) -> Finding {
    Finding::garbage(format!(
        "the connection was closed instead of an answer to {to}"
    ))
}

fn lost(error: &io::Error, to: &str) -> Finding {
    Finding::garbage(format!("{} instead of an answer to {to}", describe(error)))
}

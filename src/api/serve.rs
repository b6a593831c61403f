//! Connections to the runtime API, bounded in number, in the length of a line and in time.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::command::{self, Answer, Client};
use super::events::Follow;
use super::socket::SocketFile;
use super::{Api, change, words};
use crate::config::operation::Level;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;

/// The longest line, in bytes (HAProxy's `tune.bufsize`).
const LONGEST_LINE: usize = 16_384;

/// The longest payload of a command, in bytes: a configuration of 100,000 servers.
const LONGEST_PAYLOAD: usize = 16 << 20;

/// How long a line may be waited for without a prompt (management.txt, "stats timeout").
const PATIENCE: Duration = Duration::from_secs(10);

/// The same with a prompt, where a person types.
const INTERACTIVE_PATIENCE: Duration = Duration::from_secs(600);

/// How long a client may leave an answer unread, and a worker a question unanswered.
const STALLED: Duration = Duration::from_secs(10);

/// The pause after a failed accept: what it lacked, descriptors mostly, is not back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves the runtime API for ever. When it is dropped, every connection is closed and the
/// socket's path is free.
pub async fn serve(listener: UnixListener, _file: Arc<SocketFile>, api: Rc<Api>, level: Level) {
    let mut connections = JoinSet::new();
    loop {
        let has_place = connections.len() < CONNECTIONS;
        tokio::select! {
            Some(ended) = connections.join_next() => if let Err(error) = ended {
                tracing::error!(target: "api", "A connection to the runtime API failed: {error}.");
            },
            accepted = listener.accept(), if has_place => match accepted {
                Ok((stream, _)) => {
                    connections.spawn_local(connection(stream, Rc::clone(&api), level));
                }
                Err(error) => {
                    tracing::warn!(target: "api", "Cannot accept on the runtime API: {error}.");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn connection(stream: UnixStream, api: Rc<Api>, level: Level) {
    let who = match stream.peer_cred() {
        Ok(peer) => format!("operator on the runtime API (uid {})", peer.uid()),
        Err(_) => "operator on the runtime API".to_owned(),
    };
    let (input, output) = stream.into_split();
    if let Err(error) = converse(input, output, api, level, who).await {
        tracing::debug!(target: "api", "A connection to the runtime API ended early: {error}.");
    }
}

/// Answers one client, `who` may do what its `level` allows, until either side has had enough.
pub(super) async fn converse(
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    api: Rc<Api>,
    level: Level,
    who: String,
) -> io::Result<()> {
    let mut conversation = Conversation {
        input: BufReader::with_capacity(LONGEST_LINE, input),
        output,
        client: Client {
            level,
            interactive: false,
            who,
        },
        api,
    };
    conversation.run().await
}

/// One client and what is said.
struct Conversation<R, W> {
    input: BufReader<R>,
    output: W,
    client: Client,
    api: Rc<Api>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Conversation<R, W> {
    /// Answers lines until the client leaves or quits. Without a prompt the connection ends with
    /// the last line that has come already.
    async fn run(&mut self) -> io::Result<()> {
        while let Some(line) = self.line().await? {
            if !self.answer(&line).await? {
                return Ok(());
            }
            if !self.client.interactive && !self.input.buffer().contains(&b'\n') {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next line; `None` when the client has sent its last.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let patience = if self.client.interactive {
            INTERACTIVE_PATIENCE
        } else {
            PATIENCE
        };
        let mut line = Vec::new();
        let read = read_line(&mut self.input, &mut line, LONGEST_LINE);
        let ended = timeout(patience, read).await??;
        if ended && line.is_empty() {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    /// What comes before a line that is `end`.
    async fn payload(&mut self, end: &str) -> io::Result<String> {
        let mut payload = String::new();
        loop {
            let mut line = Vec::new();
            let room = LONGEST_PAYLOAD - payload.len();
            let read = read_line(&mut self.input, &mut line, room);
            if timeout(PATIENCE, read).await?? {
                return Err(io::Error::other("its payload has no end"));
            }
            if line == end.as_bytes() {
                return Ok(payload);
            }
            payload += &String::from_utf8_lossy(&line);
            payload.push('\n');
            if payload.len() > LONGEST_PAYLOAD {
                return Err(io::Error::other("its payload is too long"));
            }
        }
    }

    /// Answers every command on a line. Returns whether the conversation goes on.
    async fn answer(&mut self, line: &str) -> io::Result<bool> {
        let (line, end) = words::payload(line);
        let mut commands = words::commands(line);
        if let Some(end) = end {
            let payload = self.payload(end).await?;
            if let Some(last) = commands.last_mut() {
                last.push(payload);
            }
        }
        if commands.is_empty() {
            self.finish().await?;
        }
        for words in commands {
            let answer = command::run(&self.api.latest(), &mut self.client, &words);
            if !self.give(answer).await? {
                return Ok(false);
            }
            self.finish().await?;
        }
        Ok(true)
    }

    /// Writes one answer. Returns whether the conversation goes on.
    async fn give(&mut self, answer: Answer) -> io::Result<bool> {
        match answer {
            Answer::Text(text) => self.write(&text).await?,
            Answer::Pieces(pieces) => {
                for piece in pieces {
                    self.write(&piece).await?;
                    yield_now().await;
                }
            }
            Answer::Sessions(mut list) => {
                while let Some(lines) = timeout(STALLED, list.next()).await? {
                    self.write(&lines).await?;
                }
            }
            Answer::End(id) => {
                let ended = self.api.supervisor.shut_down_session(id, &self.client.who);
                if !timeout(STALLED, ended).await? {
                    self.write(&format!("{}\n", change::NO_SESSION)).await?;
                }
            }
            Answer::Follow(follow) => self.follow(follow).await?,
            Answer::Later(text) => {
                let text = text.await;
                self.write(&text).await?;
            }
            Answer::Quit => return Ok(false),
        }
        Ok(true)
    }

    /// Writes events as they happen, until the client says anything or goes away.
    async fn follow(&mut self, mut events: Follow) -> io::Result<()> {
        loop {
            for lines in events.by_ref() {
                self.write(&lines).await?;
            }
            tokio::select! {
                () = events.more() => {}
                said = self.input.fill_buf() => {
                    let length = said?.len();
                    self.input.consume(length);
                    return Ok(());
                }
            }
        }
    }

    /// Ends an answer.
    async fn finish(&mut self) -> io::Result<()> {
        let end = if self.client.interactive {
            "\n> "
        } else {
            "\n"
        };
        self.write(end).await
    }

    async fn write(&mut self, text: &str) -> io::Result<()> {
        timeout(STALLED, self.output.write_all(text.as_bytes())).await?
    }
}

/// Reads up to the end of a line, which is left out. Returns whether the input has ended.
async fn read_line<R: AsyncRead + Unpin>(
    input: &mut BufReader<R>,
    line: &mut Vec<u8>,
    longest: usize,
) -> io::Result<bool> {
    loop {
        let bytes = input.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(true);
        }
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let taken = end.unwrap_or(bytes.len());
        line.extend_from_slice(&bytes[..taken]);
        input.consume(end.map_or(taken, |end| end + 1));
        if line.len() > longest {
            return Err(io::Error::other("its line is too long"));
        }
        if end.is_some() {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests;

//! Bytes that both ends can make, so that each compares what comes with what was sent.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::sleep;

/// Bytes made, sent and compared at once.
const BLOCK: usize = 1 << 16;

/// What a client wants of a server; it is the beginning of every session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// The session's, which no other has.
    pub(crate) id: u32,
    /// Bytes that the client will send.
    pub(crate) up: u64,
    /// Bytes that the server is to send.
    pub(crate) down: u64,
    /// Whether the server is to wait for the client's end before it sends.
    pub(crate) after_end: bool,
}

impl Request {
    pub(crate) const LENGTH: usize = 24;

    pub(crate) fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..4].copy_from_slice(&self.id.to_be_bytes());
        bytes[4] = u8::from(self.after_end);
        bytes[8..16].copy_from_slice(&self.up.to_be_bytes());
        bytes[16..].copy_from_slice(&self.down.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; Self::LENGTH]) -> Self {
        let number = |at: usize| {
            let bytes = bytes[at..at + 8].try_into().expect("eight bytes");
            u64::from_be_bytes(bytes)
        };
        Self {
            id: (number(0) >> 32) as u32,
            after_end: bytes[4] == 1,
            up: number(8),
            down: number(16),
        }
    }

    pub(crate) fn upload(&self) -> Stream {
        Stream::new(u64::from(self.id) << 1, self.up)
    }

    pub(crate) fn download(&self) -> Stream {
        Stream::new(u64::from(self.id) << 1 | 1, self.down)
    }
}

/// The bytes of one direction of a session.
#[derive(Debug)]
pub(crate) struct Stream {
    seed: u64,
    length: u64,
    /// How far it has come.
    pub(crate) done: Cell<u64>,
}

impl Stream {
    fn new(seed: u64, length: u64) -> Self {
        let seed = mix(seed);
        let done = Cell::new(0);
        Self { seed, length, done }
    }

    /// Sends all of it.
    pub(crate) async fn send(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        while self.done.get() < self.length {
            let length = (self.length - self.done.get()).min(BLOCK as u64) as usize;
            self.fill(&mut block[..length]);
            let sent = to.write(&block[..length]).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.done.set(self.done.get() + sent as u64);
        }
        Ok(())
    }

    /// Receives all of it, `step` bytes at most at once and with a pause after each.
    ///
    /// # Errors
    /// When the connection fails or ends, or other bytes come ([`io::ErrorKind::InvalidData`]).
    pub(crate) async fn receive(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        step: usize,
        pause: Duration,
    ) -> io::Result<()> {
        let (mut block, mut wanted) = (vec![0; step.min(BLOCK)], vec![0; step.min(BLOCK)]);
        while self.done.get() < self.length {
            let length = (self.length - self.done.get()).min(block.len() as u64) as usize;
            let received = from.read(&mut block[..length]).await?;
            if received == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.fill(&mut wanted[..received]);
            if block[..received] != wanted[..received] {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.done.set(self.done.get() + received as u64);
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
        Ok(())
    }

    /// The bytes from where it has come to.
    fn fill(&self, block: &mut [u8]) {
        let (mut at, mut rest) = (self.done.get(), block);
        while !rest.is_empty() {
            let word = mix(self.seed.wrapping_add(at / 8)).to_le_bytes();
            let word = &word[(at % 8) as usize..];
            let (now, later) = rest.split_at_mut(word.len().min(rest.len()));
            now.copy_from_slice(&word[..now.len()]);
            at += now.len() as u64;
            rest = later;
        }
    }
}

/// Waits for the peer's end; more bytes are too many.
pub(crate) async fn end(from: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    match from.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A number that looks like chance (splitmix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Numbers by chance that a seed determines.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// A number from `range`.
    pub(crate) fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 = self.0.wrapping_add(1);
        range.start + mix(self.0) % (range.end - range.start)
    }

    pub(crate) fn ms(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }
}

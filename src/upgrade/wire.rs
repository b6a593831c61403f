//! What the two processes say to each other on a Unix socket, in this order:
//!
//! 1. the new one says hello;
//! 2. the old one says what it has, and sends the sockets;
//! 3. the new one says that it is ready;
//! 4. the old one says that it has stopped to accept.
//!
//! Messages are JSON after their length in 8 bytes; the last two are one byte each.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::state::Saved;

/// What both must speak.
pub const VERSION: u32 = 1;

/// The new process is ready.
pub const READY: u8 = b'R';

/// The old process has stopped to accept.
pub const DONE: u8 = b'D';

/// Descriptors in one message; the kernel allows 253 (unix(7)).
const AT_ONCE: usize = 64;

/// More is no message of ours: the state of 10,000 servers takes 6 MB.
const MOST_BYTES: u64 = 64 << 20;

/// The first message of the new process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// See [`VERSION`].
    pub version: u32,
    /// Who it is.
    pub pid: u32,
}

impl Hello {
    /// This process's.
    pub fn own() -> Self {
        Self {
            version: VERSION,
            pid: std::process::id(),
        }
    }

    /// # Errors
    /// When it speaks otherwise.
    pub fn check(&self) -> io::Result<()> {
        if self.version == VERSION {
            return Ok(());
        }
        let version = self.version;
        Err(io::Error::other(format!(
            "process {} speaks version {version} of the upgrade, not {VERSION}",
            self.pid
        )))
    }
}

/// What the old process has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estate {
    /// Who it is.
    pub from: Hello,
    /// The name of each socket, in the order in which they follow.
    pub listeners: Vec<String>,
    /// What is known of servers.
    pub state: Saved,
}

/// Writes one message.
///
/// # Errors
/// When the other process is gone or does not read.
pub fn write_message(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    stream.write_all(&(bytes.len() as u64).to_be_bytes())?;
    stream.write_all(&bytes)
}

/// Reads one message.
///
/// # Errors
/// When the other process is gone, or says something else.
pub fn read_message<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = u64::from_be_bytes(length);
    if length > MOST_BYTES {
        return Err(io::Error::other("what it says is no message of an upgrade"));
    }
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// Sends descriptors.
///
/// # Errors
/// When the other process is gone.
pub fn send_descriptors(stream: &UnixStream, descriptors: &[OwnedFd]) -> io::Result<()> {
    for batch in descriptors.chunks(AT_ONCE) {
        let batch: Vec<BorrowedFd<'_>> = batch.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&batch));
        // They travel with one byte, which is all that is read with them.
        let byte = [IoSlice::new(b"F")];
        retry_on_intr(|| sendmsg(stream, &byte, &mut control, SendFlags::NOSIGNAL))?;
    }
    Ok(())
}

/// Receives as many descriptors as are announced.
///
/// # Errors
/// When they do not come, or this process may not have so many.
pub fn receive_descriptors(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut received = Vec::new();
    while received.len() < count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let message = retry_on_intr(|| {
            recvmsg(
                stream,
                &mut [IoSliceMut::new(&mut byte)],
                &mut control,
                flags,
            )
        })?;
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                received.extend(descriptors);
            }
        }
        if message.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if message.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other(
                "sockets were lost on their way: the limit of open descriptors is too low",
            ));
        }
    }
    if received.len() > count {
        return Err(io::Error::other("there are more sockets than names"));
    }
    Ok(received)
}

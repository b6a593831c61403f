//! Pipes for moving bytes from socket to socket without copying them to the process.
//!
//! Splicing into a pipe that has no room fails with the same `EAGAIN` as splicing from a socket
//! that has no bytes. Taken for the latter, the socket is thought drained, nobody reads it
//! again, and the stream stands still. So a pipe is [`Empty`] or [`Holding`]: only an empty one
//! can be filled, and it is empty again only when every byte has left it. With an empty pipe,
//! `EAGAIN` can only mean the socket.
//!
//! A pipe that is dropped while it holds bytes is closed; only empty ones go back to the pool.

use std::cell::{Cell, RefCell};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

/// What is asked of one splice. More than any socket holds; at 1 << 30 and above some kernels
/// refuse.
const MOST_AT_ONCE: usize = 1 << 24;

/// The size asked for. What a user may have in all pipes is limited
/// (`/proc/sys/fs/pipe-user-pages-soft`), so less may be given.
const WANTED_BYTES: usize = 1 << 20;

/// Below this, reading and writing costs less than splicing.
const WORTHWHILE_BYTES: usize = 1 << 16;

/// Pipes of one worker that exist at once. Sessions beyond this are copied.
const MOST_PIPES: usize = 256;

/// Pipes of one worker that wait for use. A pipe is in use only while its receiver is behind.
const MOST_IDLE: usize = 32;

#[derive(Debug)]
struct Pipe {
    output: OwnedFd,
    input: OwnedFd,
    /// Counted in its pool while it exists.
    _counted: Counted,
}

/// One of the pipes that a pool counts.
#[derive(Debug)]
struct Counted(Rc<Cell<usize>>);

/// A pipe without bytes.
#[derive(Debug)]
pub(super) struct Empty(Pipe);

/// A pipe with bytes, to be drained before it can be filled again.
#[derive(Debug)]
pub(super) struct Holding {
    pipe: Pipe,
    bytes: NonZeroUsize,
}

/// What became of filling an empty pipe.
#[derive(Debug)]
pub(super) enum Filled {
    /// It now holds bytes.
    Holding(Holding),
    /// The sender has ended.
    Ended(Empty),
    /// Nothing was moved; `WouldBlock` means that the socket has no bytes.
    Failed(Empty, io::Error),
}

/// What became of draining a pipe.
#[derive(Debug)]
pub(super) enum Drained {
    /// It is empty again.
    Empty(Empty),
    /// It still holds bytes.
    Holding(Holding),
}

/// The pipes of one worker.
#[derive(Debug)]
pub(in crate::proxy) struct Pool {
    idle: RefCell<Vec<Empty>>,
    existing: Rc<Cell<usize>>,
    /// How many may exist.
    most: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(MOST_PIPES)
    }
}

impl Pool {
    /// None yet, and never more than `most`, for which there are descriptors.
    pub(in crate::proxy) fn new(most: usize) -> Self {
        Self {
            idle: RefCell::default(),
            existing: Rc::default(),
            most: most.min(MOST_PIPES),
        }
    }

    /// A pipe, unless there are too many already or the system gives none of a useful size.
    pub(super) fn take(&self) -> Option<Empty> {
        if let Some(pipe) = self.idle.borrow_mut().pop() {
            return Some(pipe);
        }
        if self.existing.get() >= self.most {
            return None;
        }
        let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        if enlarge(&input) < WORTHWHILE_BYTES {
            return None;
        }
        Some(Empty(Pipe {
            output,
            input,
            _counted: Counted::new(&self.existing),
        }))
    }

    /// Takes a pipe back.
    pub(super) fn put(&self, pipe: Empty) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MOST_IDLE {
            idle.push(pipe);
        }
    }

    /// How many pipes are neither idle nor closed.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.existing.get() - self.idle.borrow().len()
    }

    /// Closes the pipes that nobody uses, for their descriptors and memory.
    pub(in crate::proxy) fn shed(&self) {
        self.idle.take();
    }
}

/// Asks for a pipe as large as wanted, then for less, and returns what it has.
fn enlarge(pipe: &OwnedFd) -> usize {
    let mut size = WANTED_BYTES;
    while size > WORTHWHILE_BYTES {
        if let Ok(given) = fcntl_setpipe_size(pipe, size) {
            return given;
        }
        size /= 2;
    }
    fcntl_getpipe_size(pipe).unwrap_or(0)
}

impl Counted {
    fn new(existing: &Rc<Cell<usize>>) -> Self {
        existing.set(existing.get() + 1);
        Self(Rc::clone(existing))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Empty {
    /// Moves what `from` has into the pipe.
    pub(super) fn fill(self, from: &impl AsFd) -> Filled {
        match transfer(from, &self.0.input, MOST_AT_ONCE) {
            Ok(bytes) => match NonZeroUsize::new(bytes) {
                Some(bytes) => Filled::Holding(Holding {
                    pipe: self.0,
                    bytes,
                }),
                None => Filled::Ended(self),
            },
            Err(error) => Filled::Failed(self, error),
        }
    }
}

impl Holding {
    /// How many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Moves what `to` takes out of the pipe, and returns how much that was.
    ///
    /// # Errors
    /// When nothing was moved; the pipe still holds every byte.
    pub(super) fn drain(self, to: &impl AsFd) -> Result<(usize, Drained), (Self, io::Error)> {
        match transfer(&self.pipe.output, to, self.bytes()) {
            // A socket that takes nothing without saying why would be asked for ever.
            Ok(0) => Err((self, io::ErrorKind::WriteZero.into())),
            Ok(moved) => Ok((moved, self.without(moved))),
            Err(error) => Err((self, error)),
        }
    }

    /// Reads everything that it holds, for a receiver that cannot be spliced to.
    ///
    /// # Errors
    /// When the pipe cannot be read; its bytes are lost then.
    pub(super) fn into_bytes(self) -> io::Result<(Vec<u8>, Empty)> {
        let mut bytes = vec![0; self.bytes()];
        let mut read = 0;
        while read < bytes.len() {
            match rustix::io::read(&self.pipe.output, &mut bytes[read..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
        }
        Ok((bytes, Empty(self.pipe)))
    }

    fn without(self, moved: usize) -> Drained {
        let Self { pipe, bytes } = self;
        match NonZeroUsize::new(bytes.get() - moved) {
            Some(bytes) => Drained::Holding(Self { pipe, bytes }),
            None => Drained::Empty(Empty(pipe)),
        }
    }
}

fn transfer(from: &impl AsFd, to: &impl AsFd, most: usize) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    Ok(splice(from, None, to, None, most, flags)?)
}

/// Whether the kernel cannot splice this, as opposed to the connection being broken.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| {
        matches!(
            errno,
            Errno::INVAL | Errno::NOSYS | Errno::BADF | Errno::OPNOTSUPP | Errno::NOMEM
        )
    })
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        (near, far)
    }

    /// Fills a new pipe with what `near` sends to `far`, waiting for it to arrive.
    fn filled(pool: &Pool, far: &TcpStream) -> Holding {
        let mut pipe = pool.take().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        loop {
            pipe = match pipe.fill(far) {
                Filled::Holding(holding) => return holding,
                Filled::Failed(pipe, error) if error.kind() == ErrorKind::WouldBlock => pipe,
                other => panic!("{other:?}"),
            };
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    #[test]
    fn bytes_go_through_and_leave_the_pipe_empty() {
        let pool = Pool::default();
        let ((mut sender, from), (to, mut receiver)) = (connection(), connection());
        sender.write_all(b"hello").unwrap();
        let holding = filled(&pool, &from);
        assert_eq!(holding.bytes(), 5);
        let (moved, drained) = holding.drain(&to).unwrap();
        assert_eq!(moved, 5);
        assert!(matches!(drained, Drained::Empty(_)), "{drained:?}");
        receiver.set_nonblocking(false).unwrap();
        let mut bytes = [0; 5];
        receiver.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
    }

    #[test]
    fn the_end_of_the_sender_is_told_from_having_nothing() {
        let pool = Pool::default();
        let (sender, from) = connection();
        match pool.take().unwrap().fill(&from) {
            Filled::Failed(_, error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            other => panic!("{other:?}"),
        }
        drop(sender);
        from.set_nonblocking(false).unwrap();
        assert!(matches!(pool.take().unwrap().fill(&from), Filled::Ended(_)));
    }

    /// What the types keep from happening: were a full pipe filled again, it would say that
    /// the socket has nothing although it has.
    #[test]
    fn a_full_pipe_cannot_be_told_from_a_drained_socket() {
        let (mut sender, from) = connection();
        sender.write_all(&[7; 100]).unwrap();
        let (_output, input) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        while rustix::io::write(&input, &[0; 4096]).is_ok() {}
        from.set_nonblocking(false).unwrap();
        from.peek(&mut [0]).unwrap();
        from.set_nonblocking(true).unwrap();
        let error = transfer(&from, &input, MOST_AT_ONCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn a_receiver_that_cannot_be_spliced_to_loses_nothing() {
        let pool = Pool::default();
        let (mut sender, from) = connection();
        sender.write_all(b"hello").unwrap();
        let path = std::env::temp_dir().join(format!("backstop-pipe-{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        // The kernel refuses to splice to a file that is opened for appending.
        let file = options.create(true).append(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (holding, error) = filled(&pool, &from).drain(&file).unwrap_err();
        assert!(is_refusal(&error), "{error}");
        assert_eq!(holding.into_bytes().unwrap().0, b"hello");
    }

    #[test]
    fn the_pool_is_bounded_and_takes_only_what_is_put() {
        let pool = Pool::default();
        let pipes: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        // Fewer where the user's share of pipe memory is smaller.
        assert!((1..=MOST_PIPES).contains(&pipes.len()));
        assert_eq!(pool.in_use(), pipes.len());
        for pipe in pipes {
            pool.put(pipe);
        }
        assert!(pool.existing.get() <= MOST_IDLE);
        assert_eq!(pool.in_use(), 0);
        pool.shed();
        assert_eq!(pool.existing.get(), 0);
        assert!(pool.take().is_some());
    }

    #[test]
    fn a_pipe_dropped_with_bytes_is_not_used_again() {
        let pool = Pool::default();
        let (mut sender, from) = connection();
        sender.write_all(b"hello").unwrap();
        drop(filled(&pool, &from));
        assert_eq!(pool.existing.get(), 0);
    }
}

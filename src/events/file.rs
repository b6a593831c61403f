//! The file that records are appended to, one line of JSON each.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that may wait to be written; more are dropped.
const QUEUE: usize = 4_096;

/// A file that is written by a thread of its own.
#[derive(Debug)]
pub struct EventFile {
    queue: NonBlocking,
    /// Writes what is queued when it is dropped.
    _thread: WorkerGuard,
}

impl EventFile {
    /// Opens the file at `path` to append to it, and makes it if it is not there.
    ///
    /// # Errors
    /// When it cannot be opened or made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o640).open(path)?;
        let (queue, thread) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(QUEUE)
            .thread_name("events")
            .finish(file);
        Ok(Self {
            queue,
            _thread: thread,
        })
    }
}

impl Write for EventFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.queue.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.queue.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_written_when_it_is_dropped() {
        let path = std::env::temp_dir().join(format!("backstop-events-{}", std::process::id()));
        for line in ["one\n", "two\n"] {
            let mut file = EventFile::open(&path).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
        let written = std::fs::read_to_string(&path);
        let _ = std::fs::remove_file(&path);
        assert_eq!(written.unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        let error = EventFile::open(Path::new("/does/not/exist")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

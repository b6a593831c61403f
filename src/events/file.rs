//! The file that records are appended to, one line of JSON each.

use std::io;
use std::path::Path;

use crate::log::Destination;

/// A file that is written by a thread of its own, and opened anew as log files are.
#[derive(Debug)]
pub struct EventFile(Destination);

impl EventFile {
    /// Opens the file at `path` to append to it, and makes it if it is not there.
    ///
    /// # Errors
    /// When it cannot be opened or made.
    pub fn open(path: &Path) -> io::Result<Self> {
        Destination::file(path).map(Self)
    }

    /// Queues a line, without its end; one that finds the queue full is counted.
    pub fn write(&self, line: String) {
        self.0.write(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_written_when_it_is_dropped() {
        let path = std::env::temp_dir().join(format!("backstop-events-{}", std::process::id()));
        for line in ["one", "two"] {
            let file = EventFile::open(&path).unwrap();
            file.write(line.to_owned());
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

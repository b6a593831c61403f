//! Standard output and files.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::line::Line;
use super::syslog::Syslog;
use crate::config::log::{LogFormat, SyslogConfig};

/// Where the lines of one target are written.
#[derive(Debug)]
pub(super) enum Output {
    Stream(Stream),
    Syslog(Syslog),
}

/// How far the writing of lines has come.
#[derive(Debug)]
pub(super) struct Written {
    /// Lines that are not there.
    pub(super) lost: usize,
    /// Why.
    pub(super) error: Option<io::Error>,
}

/// Bytes one after the other.
#[derive(Debug)]
pub(super) struct Stream {
    to: To,
    format: LogFormat,
    /// Reused for each batch.
    buffer: Vec<u8>,
    /// Whether the last line ended in the middle, so that the next must not be added to it.
    torn: bool,
}

#[derive(Debug)]
enum To {
    Stdout(io::Stdout),
    File(PathBuf, File),
}

impl Output {
    /// Standard output.
    pub(super) fn stdout(format: LogFormat) -> Self {
        Self::stream(To::Stdout(io::stdout()), format)
    }

    /// The file at `path`, which is appended to, and made if it is not there.
    pub(super) fn file(path: &Path, format: LogFormat) -> io::Result<Self> {
        let to = To::File(path.to_owned(), open(path)?);
        Ok(Self::stream(to, format))
    }

    /// A syslog server.
    pub(super) fn syslog(config: &SyslogConfig, format: LogFormat) -> Self {
        Self::Syslog(Syslog::new(config, format))
    }

    fn stream(to: To, format: LogFormat) -> Self {
        Self::Stream(Stream {
            to,
            format,
            buffer: Vec::new(),
            torn: false,
        })
    }

    /// Writes lines as far as that can be done.
    pub(super) fn write(&mut self, lines: &[Arc<Line>]) -> Written {
        match self {
            Self::Stream(stream) => stream.write(lines),
            Self::Syslog(syslog) => syslog.write(lines),
        }
    }

    /// Opens it anew: a file that was moved away leaves its place to another. If that cannot be
    /// opened, the one that was moved is written to.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(Stream {
                to: To::File(path, file),
                torn,
                ..
            }) => {
                *file = open(path)?;
                *torn = false;
            }
            Self::Stream(_) => {}
            Self::Syslog(syslog) => syslog.disconnect(),
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).open(path)
}

impl Stream {
    fn write(&mut self, lines: &[Arc<Line>]) -> Written {
        self.buffer.clear();
        if self.torn {
            self.buffer.push(b'\n');
        }
        for line in lines {
            line.write(self.format, &mut self.buffer);
        }
        let (written, error) = match &mut self.to {
            To::Stdout(stdout) => write(&mut stdout.lock(), &self.buffer),
            To::File(_, file) => write(file, &self.buffer),
        };
        if let Some(last) = self.buffer[..written].last() {
            self.torn = *last != b'\n';
        }
        let rest = self.buffer[written..].split_inclusive(|byte| *byte == b'\n');
        Written {
            lost: rest.count().min(lines.len()),
            error,
        }
    }
}

/// Writes as many bytes as it can. Returns how many, and why not more.
fn write(to: &mut impl Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return (written, Some(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Some(error)),
        }
    }
    (written, to.flush().err())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tracing::Level;

    use super::*;

    fn line(text: &str) -> Arc<Line> {
        Arc::new(Line {
            at: SystemTime::now(),
            level: Level::INFO,
            target: "t",
            text: text.into(),
            fields: Vec::new(),
        })
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let mut full = Output::file(Path::new("/dev/full"), LogFormat::Raw).unwrap();
        let written = full.write(&[line("one"), line("two")]);
        assert_eq!(written.lost, 2);
        assert_eq!(written.error.unwrap().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn a_file_that_was_moved_is_made_again() {
        let path = std::env::temp_dir().join(format!("backstop-log-{}", std::process::id()));
        let moved = path.with_extension("old");
        let mut file = Output::file(&path, LogFormat::Raw).unwrap();
        file.write(&[line("one")]);
        std::fs::rename(&path, &moved).unwrap();
        file.write(&[line("two")]);
        file.reopen().unwrap();
        file.write(&[line("three")]);
        let texts = [&moved, &path].map(|path| std::fs::read_to_string(path).unwrap());
        for path in [&moved, &path] {
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(texts, ["one\ntwo\n", "three\n"]);
    }
}

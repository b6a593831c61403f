//! The proxy's log lines, as notes for the screen.

use std::io;

use tokio::sync::mpsc::UnboundedSender;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::stage::Note;

/// Sends every log line of the process from now on to `notes`.
pub(super) fn start(notes: UnboundedSender<Note>) {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_ansi(false)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_writer(ToNotes(notes))
        .finish();
    // An error means that the process logs already, as a test may.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct ToNotes(UnboundedSender<Note>);

impl<'a> MakeWriter<'a> for ToNotes {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line::new(&self.0, Level::INFO)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line::new(&self.0, *metadata.level())
    }
}

/// Collects one line and sends it when it is complete.
struct Line<'a> {
    notes: &'a UnboundedSender<Note>,
    level: Level,
    text: Vec<u8>,
}

impl<'a> Line<'a> {
    fn new(notes: &'a UnboundedSender<Note>, level: Level) -> Self {
        Self {
            notes,
            level,
            text: Vec::new(),
        }
    }
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text).trim_end().to_owned();
        // Nobody listens any more only when the demo is over.
        let _ = self.notes.send(Note::Proxy(self.level, text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_one_note_with_its_level() {
        let (notes, mut received) = tokio::sync::mpsc::unbounded_channel();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_level(false)
            .with_target(false)
            .with_writer(ToNotes(notes))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!("Server {} is DOWN.", "main/web-1");
        });
        let note = received.try_recv().unwrap();
        let Note::Proxy(level, text) = note else {
            panic!("{note:?}");
        };
        assert_eq!(level, Level::WARN);
        assert_eq!(text, "Server main/web-1 is DOWN.");
        assert!(received.try_recv().is_err());
    }
}

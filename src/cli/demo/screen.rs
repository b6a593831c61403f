//! What the demo shows: lines for what happens, and on a terminal a status line that follows
//! the traffic.
//!
//! The lines are the same on a terminal and in a file. The status line is drawn over in place,
//! so that nothing scrolls while nothing changes.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use tracing::Level;

use super::layout::{Style, wrap};
use super::servers::{Index, NAMES};
use super::stage::Note;
use super::traffic::Tally;

/// Answers that the status line shows.
const SHOWN: usize = 8;

/// Where the text of a line begins.
const INDENT: usize = 17;

/// What stands before what is typed.
const PROMPT: &str = "    1-6 stop or start a server, t tour, q quit > ";

/// What the output can do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// It is a terminal, which has a cursor to move.
    pub(super) live: bool,
    /// What is typed shows below the status line.
    pub(super) prompt: bool,
    pub(super) color: bool,
}

/// Writes notes down.
pub(super) struct Screen<W> {
    out: W,
    look: Look,
    /// The terminal's columns now; `None` if there are none.
    columns: fn() -> Option<usize>,
    started: Instant,
    recent: VecDeque<Index>,
    tally: Tally,
    /// Rows that the status line and what is below it take up.
    drawn: usize,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, look: Look, columns: fn() -> Option<usize>) -> Self {
        Self {
            out,
            look,
            columns,
            started: Instant::now(),
            recent: VecDeque::new(),
            tally: Tally::default(),
            drawn: 0,
        }
    }

    /// What came of all requests.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Shows one note.
    pub(super) fn show(&mut self, note: Note) -> io::Result<()> {
        match note {
            Note::Answer(server, tally) => self.answer(server, tally)?,
            Note::Failure(reason, tally) => self.failure(reason, tally)?,
            Note::Answering(servers, tally) => {
                let names: Vec<_> = servers.iter().map(|&server| NAMES[server]).collect();
                let text = format!("answers from {}  ({})", names.join(" and "), counts(tally));
                self.line(Style::Traffic, "client", &text)?;
            }
            Note::Demo(text) => self.line(Style::Demo, "demo", &text)?,
            Note::Proxy(level, text) => self.line(style(level), "proxy", &text)?,
            Note::Typed => {
                // The terminal has moved the cursor one row down.
                self.drawn += usize::from(self.drawn > 0);
                self.redraw()?;
            }
            Note::End => self.end()?,
        }
        self.out.flush()
    }

    fn answer(&mut self, server: Index, tally: Tally) -> io::Result<()> {
        if self.recent.len() == SHOWN {
            self.recent.pop_front();
        }
        self.recent.push_back(server);
        self.tally = tally;
        self.update()
    }

    fn failure(&mut self, reason: Option<String>, tally: Tally) -> io::Result<()> {
        self.tally = tally;
        match reason {
            Some(reason) => {
                let text = format!("a request failed: {reason}");
                self.line(Style::Failure, "client", &text)
            }
            None => self.update(),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.erase()?;
        self.look.live = false;
        let slowest = shown(self.tally.slowest);
        let text = format!("{}, slowest {slowest}", counts(self.tally));
        self.line(Style::Demo, "client", &text)
    }

    /// Writes text as it is.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.erase()?;
        self.out.write_all(text.as_bytes())?;
        self.draw()?;
        self.out.flush()
    }

    fn line(&mut self, style: Style, who: &str, text: &str) -> io::Result<()> {
        self.erase()?;
        let elapsed = self.started.elapsed().as_secs();
        let width = (self.columns)().map(|columns| columns.saturating_sub(INDENT));
        let (minutes, seconds) = (elapsed / 60, elapsed % 60);
        let mut head = format!("{minutes:>4}:{seconds:02}  {who:<6}  ");
        for row in wrap(text, width) {
            let row = style.paint(row, self.look.color);
            writeln!(self.out, "{head}{row}")?;
            head = " ".repeat(INDENT);
        }
        self.draw()
    }

    fn redraw(&mut self) -> io::Result<()> {
        self.erase()?;
        self.draw()
    }

    /// Removes the status line and leaves the cursor where it began.
    fn erase(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.drawn) {
            0 => Ok(()),
            1 => write!(self.out, "\r\x1b[J"),
            rows => write!(self.out, "\x1b[{}A\r\x1b[J", rows - 1),
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        if !self.look.live || self.tally.requests == 0 {
            return Ok(());
        }
        let status = self.status();
        write!(self.out, "{status}")?;
        self.drawn = 1;
        if self.look.prompt {
            write!(self.out, "\n{PROMPT}")?;
            self.drawn = 2;
        }
        Ok(())
    }

    /// Draws the status line over, without touching what is being typed below it.
    fn update(&mut self) -> io::Result<()> {
        if self.drawn == 2 {
            let status = self.status();
            write!(self.out, "\x1b7\x1b[1A\r\x1b[2K{status}\x1b8")
        } else {
            self.redraw()
        }
    }

    fn status(&self) -> String {
        let counts = counts(self.tally);
        let columns = (self.columns)().unwrap_or(80);
        let room = columns.saturating_sub(4 + counts.len() + 2);
        let mut used = 0;
        let mut names = Vec::new();
        for &server in self.recent.iter().rev() {
            used += NAMES[server].len() + 1;
            if used > room {
                break;
            }
            names.push(Style::server(server).paint(NAMES[server], self.look.color));
        }
        names.reverse();
        format!("    {counts}  {}", names.join(" "))
    }
}

fn counts(tally: Tally) -> String {
    let plural = if tally.requests == 1 { "" } else { "s" };
    format!(
        "{} request{plural}, {} failed",
        tally.requests, tally.failed
    )
}

fn shown(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn style(level: Level) -> Style {
    match level {
        Level::ERROR => Style::Failure,
        Level::WARN => Style::Warning,
        _ => Style::Proxy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(look: Look, notes: impl IntoIterator<Item = Note>) -> String {
        let mut screen = Screen::new(Vec::new(), look, || None);
        for note in notes {
            screen.show(note).unwrap();
        }
        String::from_utf8(screen.out).unwrap()
    }

    fn tally(requests: u64, failed: u64) -> Tally {
        let slowest = Duration::from_micros(2_345);
        Tally {
            requests,
            failed,
            slowest,
        }
    }

    #[test]
    fn a_file_gets_a_line_for_each_change_and_none_for_answers() {
        let notes = [
            Note::Answer(0, tally(1, 0)),
            Note::Answer(1, tally(2, 0)),
            Note::Answering(vec![0, 1], tally(2, 0)),
            Note::Proxy(Level::WARN, "Server main/web-1 is DOWN.".into()),
            Note::Failure(Some("reset".into()), tally(3, 1)),
            Note::Failure(None, tally(4, 2)),
            Note::End,
        ];
        let expected = "   0:00  client  answers from web-1 and web-2  (2 requests, 0 failed)\n\
                        \u{20}  0:00  proxy   Server main/web-1 is DOWN.\n\
                        \u{20}  0:00  client  a request failed: reset\n\
                        \u{20}  0:00  client  4 requests, 2 failed, slowest 2.3 ms\n";
        assert_eq!(shown(Look::default(), notes), expected);
    }

    #[test]
    fn a_terminal_has_a_status_line_that_is_drawn_over() {
        let look = Look {
            live: true,
            ..Look::default()
        };
        let notes = [Note::Answer(0, tally(1, 0)), Note::Answer(2, tally(2, 0))];
        let expected =
            "    1 request, 0 failed  web-1\r\x1b[J    2 requests, 0 failed  web-1 spare-1";
        assert_eq!(shown(look, notes), expected);
    }

    #[test]
    fn what_is_typed_is_not_drawn_over_until_it_is_complete() {
        let look = Look {
            live: true,
            prompt: true,
            color: false,
        };
        let status = |n| format!("    {n} requests, 0 failed{}", " ".repeat(2));
        let notes = [
            Note::Answer(0, tally(2, 0)),
            Note::Answer(0, tally(3, 0)),
            Note::Typed,
        ];
        let expected = format!(
            "{}web-1\n{PROMPT}\x1b7\x1b[1A\r\x1b[2K{}web-1 web-1\x1b8\x1b[2A\r\x1b[J{}web-1 web-1\n{PROMPT}",
            status(2),
            status(3),
            status(3),
        );
        assert_eq!(shown(look, notes), expected);
    }
}

//! The terminal, and what comes from it and from the system.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, KeyEventKind, read};
use tokio::signal::unix::{SignalKind, signal};

use super::ask::Message;
use super::model::Model;
use super::style::Palette;
use super::view;

/// The terminal while it is ours. However the program ends, a panic included, it is given back
/// as it was.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: DefaultTerminal,
    palette: Palette,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn new(palette: Palette) -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        Ok(Self { terminal, palette })
    }

    pub(super) fn draw(&mut self, model: &Model) -> io::Result<()> {
        let palette = self.palette;
        self.terminal
            .draw(|frame| view::draw(model, palette, frame.area(), frame.buffer_mut()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Tells of keys, and of another size of the terminal.
pub(super) fn watch_keys(messages: Sender<Message>) {
    // Reading cannot be interrupted, so nobody waits for this thread.
    thread::spawn(move || {
        loop {
            let message = match read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Message::Key(key),
                Ok(Event::Resize(..)) => Message::Resized,
                Ok(_) => continue,
                Err(_) => Message::Stop,
            };
            let ends = matches!(message, Message::Stop);
            if messages.send(message).is_err() || ends {
                return;
            }
        }
    });
}

/// Tells of signals that end the program, from when this returns on.
pub(super) fn watch_signals(messages: Sender<Message>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut terminate, mut hangup, mut interrupt) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
        )
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        let _ = messages.send(Message::Stop);
    });
    Ok(())
}

//! `backstop top`: what the stats page tells, in a terminal, over the runtime API.
//!
//! - [`snapshot`]: the answers of the runtime API as data.
//! - [`ask`]: the threads that ask it.
//! - [`model`]: all that is shown; [`keys`]: what keys do to it.
//! - [`view`]: the model drawn, a pure function of it. [`style`]: its colours.
//! - [`screen`]: the terminal, and what comes from it.

mod ask;
mod keys;
mod model;
mod screen;
mod snapshot;
mod style;
mod view;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use clap::Args;

use self::ask::{LOOK_EVERY, Message};
use self::keys::Act;
use self::model::Model;
use self::screen::Screen;
use self::style::Palette;
use super::FAILED;
use super::ctl::{SocketArgument, unreachable};

/// It was asked to draw on what is no terminal.
const WRONG_USAGE: u8 = 2;

/// Columns of what is printed into a file or a pipe, unless `COLUMNS` says otherwise.
const PRINTED_COLUMNS: u16 = 120;

/// What `backstop top` is asked for.
#[derive(Debug, Args)]
pub(super) struct TopArguments {
    #[command(flatten)]
    at: SocketArgument,
    /// Print what would be shown once, as plain text, after a second of counting
    #[arg(long)]
    once: bool,
}

/// Shows the running proxy until somebody quits.
pub(super) fn run(arguments: &TopArguments) -> ExitCode {
    if arguments.once {
        return once(&arguments.at);
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        eprintln!("error: `backstop top` draws on a terminal, and this is none");
        eprintln!("`backstop top --once` prints the same as plain text.");
        return ExitCode::from(WRONG_USAGE);
    }
    match live(&arguments.at) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the terminal cannot be used: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn once(at: &SocketArgument) -> ExitCode {
    let mut model = Model::new(at.socket.display().to_string());
    let looks = (0..2).try_for_each(|look| {
        if look > 0 {
            // Bytes per second need two looks.
            thread::sleep(LOOK_EVERY);
        }
        let snapshot = ask::look(&at.socket)?;
        model.take(snapshot, Instant::now());
        Ok(())
    });
    if let Err(error) = looks.and_then(|()| ask::events(&at.socket, &mut model)) {
        return unreachable(&at.socket, &error);
    }
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let text = view::plain(&model, columns.unwrap_or(PRINTED_COLUMNS));
    // Nobody may be reading.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn live(at: &SocketArgument) -> io::Result<()> {
    let (messages, inbox) = channel();
    let (commands, orders) = channel();
    // Before the terminal is another, so that no signal leaves it so.
    screen::watch_signals(messages.clone())?;
    let mut screen = Screen::new(Palette::of_environment())?;
    screen::watch_keys(messages.clone());
    ask::start(&at.socket, messages, orders);
    let model = Model::new(at.socket.display().to_string());
    show(&mut screen, model, &inbox, &commands)
}

fn show(
    screen: &mut Screen,
    mut model: Model,
    inbox: &Receiver<Message>,
    commands: &Sender<String>,
) -> io::Result<()> {
    loop {
        model.now = Instant::now();
        screen.draw(&model)?;
        let first = inbox.recv_timeout(LOOK_EVERY);
        // Whatever has come meanwhile is drawn once.
        for message in first.into_iter().chain(inbox.try_iter()) {
            match message {
                Message::Stop => return Ok(()),
                Message::Resized => {}
                Message::Key(key) => match keys::press(&mut model, key) {
                    Act::Quit => return Ok(()),
                    Act::Give(command) => {
                        let _ = commands.send(command);
                    }
                    Act::Nothing => {}
                },
                Message::Told(told) => model.hear(told, Instant::now()),
            }
        }
    }
}

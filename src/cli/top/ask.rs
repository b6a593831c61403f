//! Who asks the runtime API: a thread that looks once a second and gives commands, and one that
//! follows events. The terminal never waits for either.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::KeyEvent;

use super::model::Model;
use super::snapshot::{Happened, QUESTIONS, Snapshot};
use crate::cli::ctl;

/// Between two looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the terminal's thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// The runtime API has said something.
    Told(Told),
    /// A signal came, or the terminal is gone.
    Stop,
}

/// What the runtime API has said, or that it cannot be asked.
#[derive(Debug)]
pub(super) enum Told {
    Looked(io::Result<Box<Snapshot>>),
    /// The answer to a command.
    Answered(String, io::Result<String>),
    /// Events are told from the first one on.
    FromTheFirst,
    Happened(Happened),
    /// Events are not told, in the words of the runtime API.
    NoEvents(String),
}

/// Looks at everything once.
pub(super) fn look(socket: &Path) -> io::Result<Box<Snapshot>> {
    let answer = answer(socket, QUESTIONS)?;
    Snapshot::of(&answer).map(Box::new)
}

/// Tells `model` of the events until now.
pub(super) fn events(socket: &Path, model: &mut Model) -> io::Result<()> {
    let answer = answer(socket, "show events json")?;
    for line in answer.lines().filter(|line| !line.is_empty()) {
        model.hear(event(line), model.now);
    }
    Ok(())
}

fn answer(socket: &Path, command: &str) -> io::Result<String> {
    let stream = ctl::ask(socket, command)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    ctl::answer(stream)
}

fn event(line: &str) -> Told {
    serde_json::from_str(line).map_or_else(|_| Told::NoEvents(line.to_owned()), Told::Happened)
}

/// Starts both threads. They end when nobody listens to them any more.
pub(super) fn start(socket: &Path, messages: Sender<Message>, orders: Receiver<String>) {
    let (looking, following) = (socket.to_owned(), socket.to_owned());
    let sender = messages.clone();
    thread::spawn(move || keep_looking(&looking, &sender, &orders));
    thread::spawn(move || keep_following(&following, &messages));
}

fn keep_looking(socket: &Path, messages: &Sender<Message>, orders: &Receiver<String>) {
    let tell = |told| messages.send(Message::Told(told)).is_ok();
    while tell(Told::Looked(look(socket))) {
        match orders.recv_timeout(LOOK_EVERY) {
            Ok(command) => {
                let answer = answer(socket, &command);
                tell(Told::Answered(command, answer));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn keep_following(socket: &Path, messages: &Sender<Message>) {
    let tell = |told| messages.send(Message::Told(told)).is_ok();
    loop {
        if let Ok(stream) = ctl::ask(socket, "show events json -w") {
            if !tell(Told::FromTheFirst) {
                return;
            }
            let lines = BufReader::new(stream).lines().map_while(Result::ok);
            for line in lines.filter(|line| !line.is_empty()) {
                if !tell(event(&line)) {
                    return;
                }
            }
        }
        thread::sleep(LOOK_EVERY);
    }
}

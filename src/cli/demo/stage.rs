//! What the parts of the demo share: the servers, and the notes of what happens.

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc::UnboundedSender, watch};

use super::command::Command;
use super::servers::{Index, NAMES, Server};
use super::traffic::Tally;

/// What can be typed.
const HELP: &str = "Type a server's number or name and Enter to stop it, and again to start it. \
                    t plays the tour, q ends the demo.";

/// Something to be shown.
#[derive(Debug)]
pub(super) enum Note {
    /// The client got an answer of this server.
    Answer(Index, Tally),
    /// The client got no answer; the reason is told once for each series of failures.
    Failure(Option<String>, Tally),
    /// These servers answer from now on.
    Answering(Vec<Index>, Tally),
    /// The demo did or says something.
    Demo(String),
    /// The proxy logged a line.
    Proxy(tracing::Level, String),
    /// The user typed a line, which the terminal has shown.
    Typed,
    /// Nothing more will come.
    End,
}

/// The servers and those who watch them.
#[derive(Debug)]
pub(super) struct Stage {
    servers: Vec<Server>,
    notes: UnboundedSender<Note>,
    answering: watch::Sender<Vec<Index>>,
    /// Whether the traffic once did not go where the tour said.
    strayed: Cell<bool>,
    /// Woken when the tour shall be played.
    tour: Notify,
    touring: Cell<bool>,
    /// Woken when the demo shall end.
    pub(super) finished: Arc<Notify>,
}

impl Stage {
    pub(super) fn new(
        servers: Vec<Server>,
        notes: UnboundedSender<Note>,
        finished: Arc<Notify>,
    ) -> Self {
        Self {
            servers,
            notes,
            answering: watch::Sender::default(),
            strayed: Cell::new(false),
            tour: Notify::new(),
            touring: Cell::new(false),
            finished,
        }
    }

    pub(super) fn note(&self, note: Note) {
        // Nobody listens any more only when the demo is over.
        let _ = self.notes.send(note);
    }

    pub(super) fn start_all(&self) -> io::Result<()> {
        for server in &self.servers {
            server.start()?;
        }
        Ok(())
    }

    pub(super) fn is_running(&self, server: Index) -> bool {
        self.servers[server].is_running()
    }

    /// Who answers the client, as it changes.
    pub(super) fn answering(&self) -> watch::Receiver<Vec<Index>> {
        self.answering.subscribe()
    }

    pub(super) fn answering_changed(&self, servers: Vec<Index>, tally: Tally) {
        self.answering.send_replace(servers.clone());
        self.note(Note::Answering(servers, tally));
    }

    /// Waits until somebody wants the tour.
    pub(super) async fn tour_wanted(&self) {
        self.touring.set(false);
        self.tour.notified().await;
    }

    /// Notes that the traffic did not go where the tour said.
    pub(super) fn strayed(&self, wanted: &str) {
        self.strayed.set(true);
        self.note(Note::Demo(format!("The traffic did not move to {wanted}.")));
    }

    pub(super) fn tours_went_well(&self) -> bool {
        !self.strayed.get()
    }

    /// Does what is asked and returns what to tell who asked.
    pub(super) async fn obey(&self, command: Command) -> String {
        let said = match command {
            Command::Help => return HELP.to_owned(),
            Command::Stop(server) => self.set_running(server, false).await,
            Command::Start(server) => self.set_running(server, true).await,
            Command::Toggle(server) => self.set_running(server, !self.is_running(server)).await,
            Command::Tour if self.touring.replace(true) => "The tour goes on already.".to_owned(),
            Command::Tour => {
                self.tour.notify_one();
                return "The tour begins.".to_owned();
            }
            Command::Quit => {
                self.finished.notify_one();
                "The demo ends.".to_owned()
            }
        };
        self.note(Note::Demo(said.clone()));
        said
    }

    /// Starts or stops a server and returns what came of it.
    pub(super) async fn set_running(&self, server: Index, running: bool) -> String {
        let name = NAMES[server];
        let server = &self.servers[server];
        let changed = if running {
            server.start()
        } else {
            Ok(server.stop().await)
        };
        match (changed, running) {
            (Ok(true), true) => format!("{name} is started."),
            (Ok(true), false) => format!("{name} is stopped."),
            (Ok(false), true) => format!("{name} runs already."),
            (Ok(false), false) => format!("{name} is stopped already."),
            (Err(error), _) => format!("{name} cannot be started: {error}."),
        }
    }
}

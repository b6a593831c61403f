//! The demo's own thread: servers, client, control address, tour and screen.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{oneshot, watch};
use tokio::task::{LocalSet, spawn_local};

use super::command::Command;
use super::control::Control;
use super::http::Serving;
use super::screen::{Look, Screen};
use super::setup::Setup;
use super::stage::{Note, Stage};
use super::{terminal, tour, traffic};

/// How the client is stopped before the proxy is, so that none of its requests fails by that.
#[derive(Debug)]
pub(super) struct ClientEnd {
    /// Becomes true when it shall stop.
    pub(super) stop: watch::Receiver<bool>,
    /// Becomes true when it has stopped.
    pub(super) stopped: watch::Sender<bool>,
}

/// Runs everything but the proxy until [`Note::End`]. Returns whether all went as it should.
///
/// `ready` is told when the servers listen.
pub(super) fn run(
    setup: Setup,
    ready: oneshot::Sender<()>,
    client: ClientEnd,
    notes: UnboundedSender<Note>,
    received: UnboundedReceiver<Note>,
) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let finished = setup.finished.clone();
    let ran = LocalSet::new().block_on(&runtime, play(setup, ready, client, notes, received));
    // If it could not begin, the proxy has nothing to wait for.
    finished.notify_one();
    ran
}

async fn play(
    setup: Setup,
    ready: oneshot::Sender<()>,
    client: ClientEnd,
    notes: UnboundedSender<Note>,
    mut received: UnboundedReceiver<Note>,
) -> io::Result<bool> {
    let look = terminal::look();
    let mut screen = Screen::new(io::stdout(), look, terminal::columns);
    let banner = setup.banner(look.prompt);
    let stage = Rc::new(Stage::new(setup.servers, notes, setup.finished));
    stage.start_all()?;
    // It fails only if nobody waits for it.
    let _ = ready.send(());
    let _control = Serving::start(setup.control.listen()?, Control(Rc::clone(&stage)))?;
    let asking = traffic::run(setup.traffic.address(), Rc::clone(&stage), client.stop);
    spawn_local(async move {
        asking.await;
        client.stopped.send_replace(true);
    });
    spawn_local(read_lines(Rc::clone(&stage), look));
    let arguments = setup.arguments;
    spawn_local(play_tours(
        Rc::clone(&stage),
        arguments.step,
        arguments.tour,
    ));
    if let Some(limit) = arguments.limit {
        spawn_local(end_after(limit, Rc::clone(&stage)));
    }
    let shown = screen.text(&banner);
    show(&mut screen, &mut received, shown, &stage).await;
    let judged = arguments.tour || arguments.limit.is_some();
    Ok(!judged || (screen.tally().failed == 0 && stage.tours_went_well()))
}

/// Shows notes to the last one.
async fn show(
    screen: &mut Screen<io::Stdout>,
    notes: &mut UnboundedReceiver<Note>,
    mut shown: io::Result<()>,
    stage: &Stage,
) {
    let mut last = false;
    while !last && let Some(note) = notes.recv().await {
        last = matches!(note, Note::End);
        if shown.is_ok() {
            shown = screen.show(note);
            // A reader of the output who has left ends the demo, as it ends any program in a
            // pipe.
            if shown.is_err() {
                stage.finished.notify_one();
            }
        }
    }
}

async fn read_lines(stage: Rc<Stage>, look: Look) {
    let mut lines = terminal::lines();
    while let Some(line) = lines.recv().await {
        if look.prompt {
            stage.note(Note::Typed);
        }
        match Command::typed(&line) {
            Ok(Command::Help) => {
                let help = stage.obey(Command::Help).await;
                stage.note(Note::Demo(help));
            }
            Ok(command) => {
                stage.obey(command).await;
            }
            Err(reason) => stage.note(Note::Demo(reason)),
        }
    }
}

/// Plays the tour whenever it is asked for; with `only` at once, and then ends the demo.
async fn play_tours(stage: Rc<Stage>, step: Duration, only: bool) {
    if only {
        tour::play(&stage, step).await;
        return stage.finished.notify_one();
    }
    loop {
        stage.tour_wanted().await;
        tour::play(&stage, step).await;
    }
}

async fn end_after(limit: Duration, stage: Rc<Stage>) {
    tokio::time::sleep(limit).await;
    stage.finished.notify_one();
}

//! This process and the one that takes over from it.

use std::convert::identity;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, spawn_blocking, spawn_local};

use crate::api::socket::{ApiSocket, SocketFile};
use crate::notify;
use crate::privileges;
use crate::state::{Clock, Saved};
use crate::sys::inherited;
use crate::topology::Current;
use crate::upgrade::{Heir, Offer, Offered, Predecessor, give, offer};

/// After an attempt that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// The option that makes a process take over.
const TAKE_OVER: &str = "--take-over";

/// Held by a reload and while another process gets what this one has: it must not get a part of
/// what is being put in place.
pub(super) type Turn = Rc<Mutex<()>>;

/// What this process gives to the next, and how.
#[derive(Debug)]
pub(super) struct Handover {
    offer: Offer,
    current: Current,
    pub(super) turn: Turn,
    /// Where the next process asks; `None` if there is no `upgrade_socket`.
    listener: Option<UnixListener>,
    /// Paths that are the next one's to remove.
    files: Vec<Arc<SocketFile>>,
    /// What serves the stats page and the runtime API, which the next one does then.
    services: Vec<AbortHandle>,
    /// What is offered as long as this process listens there.
    offered: Vec<Offered>,
}

impl Handover {
    pub(super) fn new(offer: Offer, current: Current) -> Self {
        Self {
            offer,
            current,
            turn: Turn::default(),
            listener: None,
            files: Vec::new(),
            services: Vec::new(),
            offered: Vec::new(),
        }
    }

    /// Takes in one of the services and what it listens on.
    pub(super) fn add(&mut self, offered: impl IntoIterator<Item = Offered>, service: AbortHandle) {
        self.offered.extend(offered);
        self.services.push(service);
    }

    /// Takes in what listens at the path of a Unix socket.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub(super) fn add_file(
        &mut self,
        offer: &Offer,
        file: &Arc<SocketFile>,
        listener: &UnixListener,
    ) -> io::Result<Offered> {
        self.files.push(Arc::clone(file));
        offer.add(offer::unix(file.path()), &[listener])
    }

    /// Has the next process ask at `socket`.
    ///
    /// # Errors
    /// When the system refuses to listen.
    pub(super) fn listen(&mut self, offer: &Offer, socket: ApiSocket) -> io::Result<()> {
        let (listener, file) = socket.listen()?;
        let offered = self.add_file(offer, &file, &listener)?;
        self.offered.push(offered);
        self.listener = Some(listener);
        spawn_local(start_on_signal());
        Ok(())
    }

    /// Waits until another process has all that this one has, and is ready. An attempt that fails
    /// is told.
    pub(super) async fn heir(&self) -> Heir {
        let Some(listener) = &self.listener else {
            return std::future::pending().await;
        };
        loop {
            match self.give(listener).await {
                Ok(heir) => return heir,
                Err(error) => {
                    tracing::error!(
                        target: "process",
                        "Another process wanted to take over and did not: {error}. This one goes \
                         on."
                    );
                    // What is short, descriptors for instance, is not back at once.
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn give(&self, listener: &UnixListener) -> io::Result<Heir> {
        let stream = listener.accept().await?.0.into_std()?;
        stream.set_nonblocking(false)?;
        let _turn = self.turn.lock().await;
        let listeners = self.offer.copies()?;
        let state = Saved::of(&self.current.load(), Clock::now());
        spawn_blocking(move || give::give(stream, listeners, state)).await?
    }

    /// Has no address any more, but for those that the workers still accept on.
    pub(super) fn close(self) {
        self.offer.withdraw();
    }

    /// Leaves everything to `heir`.
    pub(super) fn leave(self, heir: Heir) {
        let pid = heir.pid();
        tracing::info!(target: "process", "Process {pid} has taken over.");
        notify::succeeded_by(pid);
        for service in &self.services {
            service.abort();
        }
        for file in &self.files {
            file.leave();
        }
        self.offer.withdraw();
        heir.confirm();
    }

    /// Has the process before this one stop to accept. What both had is this one's then.
    pub(super) async fn succeed(&self, predecessor: Predecessor) {
        let pid = predecessor.pid();
        match spawn_blocking(|| predecessor.ready()).await {
            Ok(Ok(())) => tracing::info!(target: "process", "Taken over from process {pid}."),
            Ok(Err(error)) => tracing::warn!(
                target: "process",
                "Process {pid} does not say that it has stopped to accept: {error}."
            ),
            Err(_) => {}
        }
        self.files.iter().for_each(|file| file.own());
    }
}

/// Starts a process that takes over, whenever SIGUSR2 says so: the program that is now where this
/// one was started from, with the same arguments.
async fn start_on_signal() {
    let program = std::env::current_exe();
    let mut wishes = match signal(SignalKind::user_defined2()) {
        Ok(wishes) => wishes,
        Err(error) => {
            tracing::error!(target: "process", "SIGUSR2 cannot be caught: {error}.");
            return;
        }
    };
    while wishes.recv().await.is_some() {
        match &program {
            Ok(program) => start(program),
            Err(error) => tracing::error!(
                target: "process",
                "It is not known where this program was started from: {error}."
            ),
        }
    }
}

fn start(program: &Path) {
    let mut command = Command::new(program);
    command.args(arguments(std::env::args_os().skip(1)));
    // What systemd says of its sockets is for this process only.
    command
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_FDNAMES");
    command.env(inherited::VARIABLE, inherited::for_the_next());
    let shown = program.display().to_string();
    let started = privileges::pass_on(|| command.spawn()).and_then(identity);
    match started {
        Err(error) => {
            tracing::error!(target: "process", "{shown} cannot be started: {error}.");
        }
        Ok(mut child) => {
            let pid = child.id().unwrap_or_default();
            tracing::info!(
                target: "process",
                "SIGUSR2: {shown} was started as process {pid}, to take over."
            );
            spawn_local(async move {
                // It outlives this one if all goes well.
                if let Ok(status) = child.wait().await {
                    tracing::error!(
                        target: "process",
                        "Process {pid}, which was to take over, has ended: {status}."
                    );
                }
            });
        }
    }
}

/// The arguments of this process, and that it takes over.
fn arguments(own: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = own.collect();
    if !arguments.iter().any(|argument| argument == TAKE_OVER) {
        arguments.push(TAKE_OVER.into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_gets_the_same_arguments_and_takes_over() {
        let next = |own: &[&str]| arguments(own.iter().map(OsString::from));
        let wanted = next(&["-f", "x", TAKE_OVER]);
        assert_eq!(next(&["-f", "x"]), wanted);
        assert_eq!(next(&["-f", "x", TAKE_OVER]), wanted);
    }
}

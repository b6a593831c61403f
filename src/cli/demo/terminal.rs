//! What the demo finds at its standard input and output.

use std::io::{self, IsTerminal};
use std::thread;

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::screen::Look;

/// What standard output can do.
pub(super) fn look() -> Look {
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    let live = io::stdout().is_terminal() && variable("TERM") != "dumb";
    Look {
        live,
        prompt: live && io::stdin().is_terminal() && may_read(),
        color: live && variable("NO_COLOR").is_empty(),
    }
}

/// The columns of the terminal at standard output.
pub(super) fn columns() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The lines of standard input as they come, until it is closed.
pub(super) fn lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    if may_read() {
        // Reading cannot be interrupted, so nobody waits for this thread.
        thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// A background job that reads from its terminal is stopped by the system.
fn may_read() -> bool {
    let stdin = io::stdin();
    !stdin.is_terminal() || tcgetpgrp(&stdin).is_ok_and(|group| group == getpgrp())
}

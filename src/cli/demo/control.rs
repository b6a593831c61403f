//! The control address: stops and starts servers by HTTP, for scripts and other terminals.

use std::fmt::Write as _;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::command::Command;
use super::http::Handler;
use super::servers::{NAMES, text};
use super::stage::Stage;

const HELP: &str = "\
GET or POST
  /stop/NAME    stop a server
  /start/NAME   start it again
  /tour         play the failures one after the other
  /quit         end the demo
";

/// Answers requests to the control address.
#[derive(Debug)]
pub(super) struct Control(pub(super) Rc<Stage>);

impl Handler for Control {
    async fn answer(&self, request: Request<Incoming>) -> Response<String> {
        match Command::path(request.uri().path()) {
            Ok(Command::Help) => text(self.help()),
            Ok(command) => text(format!("{}\n", self.0.obey(command).await)),
            Err(reason) => {
                let mut response = text(format!("{reason}\n\n{}", self.help()));
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        }
    }
}

impl Control {
    fn help(&self) -> String {
        let mut help = format!("{HELP}\n");
        for (server, name) in NAMES.iter().enumerate() {
            let state = if self.0.is_running(server) {
                "running"
            } else {
                "stopped"
            };
            // Writing to a string never fails.
            let _ = writeln!(help, "{name:<8} {state}");
        }
        help
    }
}

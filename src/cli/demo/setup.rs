//! The addresses, the proxy's configuration and the words that the demo begins with.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Notify;

use super::DemoArguments;
use super::address::KeptAddress;
use super::servers::{Server, variable};
use crate::config::{self, Config};
use crate::process::BindError;

/// The proxy's configuration.
const CONFIG: &str = include_str!("demo.toml");

const TRAFFIC_PORT: u16 = 8181;
const STATS_PORT: u16 = 8711;
const CONTROL_PORT: u16 = 8790;

/// All that the demo needs beside the proxy.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) arguments: DemoArguments,
    pub(super) servers: Vec<Server>,
    pub(super) traffic: KeptAddress,
    pub(super) stats: KeptAddress,
    pub(super) control: KeptAddress,
    /// Woken when the demo shall end.
    pub(super) finished: Arc<Notify>,
}

impl Setup {
    /// Takes every address; an error is for the user.
    pub(super) fn new(arguments: DemoArguments) -> Result<Self, String> {
        let traffic = take("the demo's frontend", arguments.port, TRAFFIC_PORT)?;
        let stats = take("the stats page", arguments.stats_port, STATS_PORT)?;
        let control = take("the demo's control", arguments.control_port, CONTROL_PORT)?;
        let servers = Server::all().map_err(|error| format!("no port for a server: {error}"))?;
        Ok(Self {
            arguments,
            servers,
            traffic,
            stats,
            control,
            finished: Arc::new(Notify::new()),
        })
    }

    /// The proxy's configuration with these addresses.
    pub(super) fn config(&self) -> Result<Config, String> {
        let variables = |name: &str| match name {
            "TRAFFIC_PORT" => Some(self.traffic.address().port().to_string()),
            "STATS_PORT" => Some(self.stats.address().port().to_string()),
            _ => {
                let mut servers = self.servers.iter();
                let server = servers.find(|server| variable(server.name) == name)?;
                Some(server.address().to_string())
            }
        };
        let loaded = config::parse(CONFIG, "demo.toml", &variables);
        loaded
            .map(|loaded| loaded.config)
            .map_err(|report| report.to_string())
    }

    /// What can be tried.
    pub(super) fn banner(&self, typing: bool) -> String {
        let [traffic, stats, control] =
            [&self.traffic, &self.stats, &self.control].map(KeptAddress::address);
        let typing = if typing {
            "Type a number and Enter to stop that server, and again to start it.\n\
             t and Enter plays failures by itself; q and Enter, or Ctrl-C, ends the demo."
        } else {
            "Ctrl-C or SIGTERM ends the demo."
        };
        let Self { arguments, .. } = self;
        let moved = moved(&[
            (arguments.port, TRAFFIC_PORT, traffic),
            (arguments.stats_port, STATS_PORT, stats),
            (arguments.control_port, CONTROL_PORT, control),
        ]);
        format!(
            "\
Backstop demo: a proxy, six servers, and a client that asks 5 times a second.
{moved}
  try         curl http://{traffic}/
  stats page  http://{stats}/
  control     curl -X POST http://{control}/stop/web-1     and /start/web-1

  main        1 web-1    2 web-2     backups: 3 spare-1   4 spare-2
  farm        5 farm-1   6 farm-2    used when web-1, web-2 and a spare are down

{typing}

"
        )
    }
}

/// The port that was asked for and no other, else the usual one or any.
fn take(owner: &str, asked: Option<u16>, usual: u16) -> Result<KeptAddress, String> {
    let address = match asked {
        Some(port) => KeptAddress::take(port),
        None => KeptAddress::prefer(usual),
    };
    address.map_err(|error: io::Error| {
        let error = BindError {
            owner: owner.to_owned(),
            purpose: "listen on",
            address: SocketAddr::from(([127, 0, 0, 1], asked.unwrap_or(usual))),
            error,
        };
        format!("{error}\nNothing was started.")
    })
}

/// Says which of the usual ports, where no port was asked for, were not to be had.
fn moved(addresses: &[(Option<u16>, u16, SocketAddr)]) -> String {
    let mut said = String::new();
    for (asked, usual, address) in addresses {
        if asked.is_none() && address.port() != *usual {
            // Writing to a string never fails.
            let _ = writeln!(
                said,
                "Port {usual} is taken; this time it is {}.",
                address.port()
            );
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::super::servers::NAMES;
    use super::*;

    #[test]
    fn the_configuration_loads_as_it_stands() {
        let loaded = config::parse(CONFIG, "demo.toml", &|_| None).unwrap();
        let names = loaded
            .config
            .backends
            .iter()
            .flat_map(|backend| &backend.servers);
        let names: Vec<_> = names.map(|server| server.name.as_str()).collect();
        assert_eq!(
            names, NAMES,
            "the demo numbers servers in the order of its file"
        );
    }

    #[test]
    fn the_configuration_gets_the_addresses_that_were_taken() {
        let arguments = DemoArguments {
            port: Some(0),
            stats_port: Some(0),
            control_port: Some(0),
            ..Default::default()
        };
        let setup = Setup::new(arguments).unwrap();
        let config = setup.config().unwrap();
        assert_eq!(config.frontends[0].bind, [setup.traffic.address()]);
        assert_eq!(config.stats.unwrap().bind, [setup.stats.address()]);
        let servers = config.backends.iter().flat_map(|backend| &backend.servers);
        for (server, ours) in servers.zip(&setup.servers) {
            assert_eq!(server.address.port, ours.address().port(), "{}", ours.name);
        }
    }
}

//! What people can ask of the demo, by a typed line or by a path of the control address.

use super::servers::{Index, NAMES, find};

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Stop the server.
    Stop(Index),
    /// Start the server.
    Start(Index),
    /// Stop the server if it runs, else start it.
    Toggle(Index),
    /// Play the failures.
    Tour,
    /// Say what can be asked.
    Help,
    /// End the demo.
    Quit,
}

impl Command {
    /// What a line typed by the user asks for; an error says why it asks for nothing.
    pub(super) fn typed(line: &str) -> Result<Self, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [] | ["h" | "help" | "?"] => Ok(Self::Help),
            ["t" | "tour"] => Ok(Self::Tour),
            ["q" | "quit" | "exit"] => Ok(Self::Quit),
            ["stop", server] => known(server).map(Self::Stop),
            ["start", server] => known(server).map(Self::Start),
            [server] => known(server).map(Self::Toggle),
            _ => Err(format!("\"{}\" is not a command.", line.trim())),
        }
    }

    /// What a path such as `/stop/web-1` asks for.
    pub(super) fn path(path: &str) -> Result<Self, String> {
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts[..] {
            [] => Ok(Self::Help),
            ["tour"] => Ok(Self::Tour),
            ["quit"] => Ok(Self::Quit),
            ["stop", server] => known(server).map(Self::Stop),
            ["start", server] => known(server).map(Self::Start),
            _ => Err(format!("There is no \"{path}\" here.")),
        }
    }
}

fn known(server: &str) -> Result<Index, String> {
    find(server).ok_or_else(|| {
        let names = NAMES.join(", ");
        format!("There is no server \"{server}\". The servers are {names}.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_lines() {
        assert_eq!(Command::typed("1\n"), Ok(Command::Toggle(0)));
        assert_eq!(Command::typed(" spare-2 "), Ok(Command::Toggle(3)));
        assert_eq!(Command::typed("stop farm-1"), Ok(Command::Stop(4)));
        assert_eq!(Command::typed("start 2"), Ok(Command::Start(1)));
        assert_eq!(Command::typed(""), Ok(Command::Help));
        assert_eq!(Command::typed("t"), Ok(Command::Tour));
        assert_eq!(Command::typed("q"), Ok(Command::Quit));
        assert!(Command::typed("stop all of them").is_err());
    }

    #[test]
    fn paths() {
        assert_eq!(Command::path("/"), Ok(Command::Help));
        assert_eq!(Command::path("/stop/web-1"), Ok(Command::Stop(0)));
        assert_eq!(Command::path("/start/web-1/"), Ok(Command::Start(0)));
        assert_eq!(
            Command::path("/stop/web-9").unwrap_err(),
            "There is no server \"web-9\". The servers are web-1, web-2, spare-1, spare-2, \
             farm-1, farm-2."
        );
        assert!(Command::path("/stop").is_err());
    }
}

//! `backstop hash-password`: a password to the hash that the configuration keeps in its place.

use std::io::{self, BufRead, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::FAILED;
use crate::admin::password;

/// The longest password, in bytes; the page takes no longer ones, nor do browsers send them.
const LONGEST: u64 = 4096;

pub(super) fn run() -> ExitCode {
    let hashed = read().and_then(|password| password::hash(&password));
    match hashed {
        Ok(hash) => {
            println!("{hash}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(FAILED)
        }
    }
}

/// The password from a terminal, typed twice, or the first line of what is no terminal.
fn read() -> Result<String, String> {
    let told = |error: io::Error| format!("the password cannot be read: {error}");
    let mut stdin = io::stdin().lock();
    let password = if stdin.is_terminal() {
        let first = typed(&mut stdin, "Password: ").map_err(told)?;
        if typed(&mut stdin, "Again: ").map_err(told)? != first {
            return Err("the two are not the same".to_owned());
        }
        first
    } else {
        let mut line = String::new();
        stdin.take(LONGEST).read_line(&mut line).map_err(told)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    if password.contains(char::is_control) {
        return Err("a control character may not stand in a password".to_owned());
    }
    Ok(password)
}

/// A line that is typed and not shown.
fn typed(stdin: &mut io::StdinLock<'_>, prompt: &str) -> io::Result<String> {
    let mut stderr = io::stderr();
    let _silent = Silent::new()?;
    write!(stderr, "{prompt}")?;
    stderr.flush()?;
    let line = line(stdin);
    writeln!(stderr)?;
    line
}

/// The keys up to Enter, with what they do at a terminal.
fn line(keys: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    for key in keys.bytes() {
        match key? {
            b'\r' | b'\n' => break,
            // ^C and, on an empty line, ^D.
            3 => return Err(io::ErrorKind::Interrupted.into()),
            4 if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            // Backspace takes a character, of which the first byte is the last to go.
            8 | 127 => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // ^U
            21 => line.clear(),
            _ if line.len() as u64 >= LONGEST => {}
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// A terminal that does not show what is typed, until this is dropped. Keys come one at a time,
/// ^C included: a signal would leave the terminal as it is.
struct Silent(Termios);

impl Silent {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        let typed = |keys: &str| line(&mut keys.as_bytes());
        assert_eq!(typed("sesame\nmore").unwrap(), "sesame");
        assert_eq!(typed("x\x15sesamé\x7f\x7fme\x08e\r").unwrap(), "sesame");
        assert_eq!(typed("\x7f").unwrap(), "");
        assert_eq!(
            typed("se\x03").unwrap_err().kind(),
            io::ErrorKind::Interrupted
        );
        assert_eq!(
            typed("\x04").unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}

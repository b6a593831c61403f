//! What may stand inside a string: names, durations, addresses, a user and password.
//!
//! Everything here is a function from text to a value or to a [`Fault`]; where the text stands
//! in the file is the caller's matter.

mod address;
mod descriptor;
mod duration;
mod expand;

use std::ops::Range;
use std::path::PathBuf;

pub use self::address::{bind_address, host, name_server, overlap, server_address};
pub use self::duration::{duration, shown, with_unit};
pub use self::expand::expand;
use super::check::Secret;

/// Why a text is not the value that it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, in one line.
    pub title: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The part of the text that is wrong; `None` is all of it.
    pub range: Option<Range<usize>>,
}

impl Fault {
    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            help: None,
            range: None,
        }
    }

    /// A fault of all of the text, and what to write instead.
    pub(in crate::config) fn of(title: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(title).help(help)
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn at(mut self, range: Range<usize>) -> Self {
        self.range = Some(range);
        self
    }
}

/// A name of a frontend, backend, server or ACL: the characters that HAProxy allows
/// (configuration.txt, "Proxies").
pub fn name(text: &str) -> Result<String, Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    match text.char_indices().find(|&(_, c)| !allowed(c)) {
        None if text.is_empty() => Err(Fault::new("a name may not be empty")),
        None => Ok(text.to_owned()),
        Some((at, c)) => Err(Fault::new(format!("{} may not stand in a name", told(c)))
            .help("names are made of letters, digits, `-`, `_`, `.` and `:`")
            .at(at..at + c.len_utf8())),
    }
}

/// `user:password`. No message repeats the text, which is secret.
pub fn credentials(text: &str) -> Result<(String, Secret<String>), Fault> {
    let Some((user, password)) = text.split_once(':') else {
        return Err(
            Fault::new("there is no `:` between user and password").help("write \"user:password\"")
        );
    };
    if user.is_empty() {
        return Err(Fault::new("the user before `:` is empty").help("write \"user:password\""));
    }
    if password.is_empty() {
        return Err(Fault::new("the password after `:` is empty").help("write \"user:password\""));
    }
    if text.contains(char::is_control) {
        return Err(Fault::new(
            "a control character may not stand in user or password",
        ));
    }
    Ok((user.to_owned(), Secret::new(password.to_owned())))
}

/// A name that someone gives together with a password, which a colon ends (RFC 7617).
pub fn user(text: &str) -> Result<String, Fault> {
    match text
        .char_indices()
        .find(|&(_, c)| c == ':' || c.is_control())
    {
        None => Ok(text.to_owned()),
        Some((at, c)) => Err(
            Fault::new(format!("{} may not stand in a user's name", told(c)))
                .at(at..at + c.len_utf8()),
        ),
    }
}

/// The path of a Unix socket, short enough for its address with the suffix that it has while it
/// is made (unix(7)).
pub fn socket_path(text: &str) -> Result<PathBuf, Fault> {
    const LONGEST: usize = 96;
    if text.len() > LONGEST {
        let fault = Fault::new(format!("the path of a socket has at most {LONGEST} bytes"));
        return Err(fault.help("choose a directory with a shorter name, such as /run"));
    }
    Ok(PathBuf::from(text))
}

/// A file's permissions as three or four octal digits.
pub fn file_mode(text: &str) -> Result<u32, Fault> {
    let mode = u32::from_str_radix(text, 8).ok();
    let digits = matches!(text.len(), 3 | 4) && !text.starts_with('+');
    mode.filter(|mode| digits && *mode <= 0o777).ok_or_else(|| {
        Fault::new(format!("{text:?} are no permissions of a file"))
            .help("write three octal digits, such as \"660\"")
    })
}

/// The path of the stats page.
pub fn uri(text: &str) -> Result<String, Fault> {
    if !text.starts_with('/') {
        return Err(Fault::new("a path begins with `/`").help(format!("write \"/{text}\"")));
    }
    let allowed = |c: char| c.is_ascii_graphic() && !";?#\"<>\\".contains(c);
    match text.char_indices().find(|&(_, c)| !allowed(c)) {
        None => Ok(text.to_owned()),
        Some((at, c)) => Err(Fault::new(format!("{} may not stand in the page's path", told(c)))
            .help("write the path alone, such as \"/stats\"; `;csv` and the like are always there")
            .at(at..at + c.len_utf8())),
    }
}

/// The realm that a browser shows when it asks for the password. It is sent as a quoted string
/// of an HTTP header, so quotes, backslashes and line breaks may not stand in it.
pub fn realm(text: &str) -> Result<String, Fault> {
    let allowed = |c: char| !c.is_control() && !"\"\\".contains(c);
    match text.char_indices().find(|&(_, c)| !allowed(c)) {
        None => Ok(text.to_owned()),
        Some((at, c)) => Err(Fault::new(format!("{} may not stand in a realm", told(c)))
            .help("write the words as they are; a space needs no backslash before it here")
            .at(at..at + c.len_utf8())),
    }
}

/// A character as a message names it.
fn told(c: char) -> String {
    match c {
        ' ' => "a space".to_owned(),
        c if c.is_control() => format!("the control character {c:?}"),
        c => format!("`{c}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name("bk-app_1.eu:81").unwrap(), "bk-app_1.eu:81");
        assert_eq!(name("a b").unwrap_err().range, Some(1..2));
        assert_eq!(name("é").unwrap_err().range, Some(0..2));
        assert!(name("").is_err());
    }

    #[test]
    fn passwords_may_contain_colons_and_are_never_repeated() {
        let (name, password) = credentials("admin:a:b").unwrap();
        assert_eq!(
            (name.as_str(), password.reveal().as_str()),
            ("admin", "a:b")
        );
        for wrong in ["sesame", ":sesame", "sesame:", "u:sesame\n"] {
            let fault = credentials(wrong).unwrap_err();
            assert!(!format!("{fault:?}").contains("sesame"), "{fault:?}");
        }
    }

    #[test]
    fn permissions_are_octal() {
        assert_eq!(file_mode("660").unwrap(), 0o660);
        assert_eq!(file_mode("0600").unwrap(), 0o600);
        for wrong in ["0o660", "66", "+66", "888", "1777", "rw-", ""] {
            assert!(file_mode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_and_realms() {
        assert_eq!(uri("/stats").unwrap(), "/stats");
        assert_eq!(uri("stats").unwrap_err().help.unwrap(), "write \"/stats\"");
        assert!(uri("/stats;csv").is_err());
        assert_eq!(realm("Strictly Private").unwrap(), "Strictly Private");
        assert!(realm("Strictly\\ Private").is_err());
    }
}

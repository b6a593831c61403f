//! Sockets that the process was started with: by systemd (`sd_listen_fds(3)`), or by whoever else
//! left descriptors open for it.
//!
//! They are noted once, at the start, so that what the process opens itself later is never taken for
//! one of them. Each stays open for as long as the process lives: what connects while nobody accepts
//! waits for the next process, if whoever gave the socket has it still.

use std::fs::DirEntry;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use socket2::{Socket, Type};

/// What a process that is to take over is told of these sockets, which it is given in another way.
pub const VARIABLE: &str = "BACKSTOP_SOCKETS";

/// Those of this process; none until [`note`].
static NOTED: OnceLock<Vec<Inherited>> = OnceLock::new();

/// A descriptor that was open at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Inherited {
    number: i32,
    /// In `LISTEN_FDNAMES`.
    name: Option<String>,
    what: What,
    /// Whether this process has it. One that takes over is only told where it listens.
    open: bool,
}

/// What a descriptor is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// Nothing that can be used, and why.
    Other(&'static str),
}

/// Why there is no listening at `fd@…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// It was not open when the process started.
    NotOpen,
    /// None has the name.
    NoSuchName,
    /// These have the name.
    Several(Vec<i32>),
    /// It is something else, which this says.
    Is(&'static str),
}

/// Notes what the process was started with. To be called before it opens anything.
pub fn note() {
    NOTED.get_or_init(|| {
        let mut noted = told(&std::env::var(VARIABLE).unwrap_or_default());
        // They are not those of this process if the variables are for another.
        let named: Vec<_> = sd_notify::listen_fds_with_names()
            .map(Iterator::collect)
            .unwrap_or_default();
        for number in open_descriptors() {
            let Some(what) = look(number) else {
                continue;
            };
            let name = named.iter().find(|(listed, _)| *listed == number);
            noted.retain(|one| one.number != number);
            noted.push(Inherited {
                number,
                name: name.map(|(_, name)| name.clone()),
                what,
                open: true,
            });
        }
        noted
    });
}

/// What the process before this one says in [`VARIABLE`].
fn told(words: &str) -> Vec<Inherited> {
    let word = |word: &str| {
        let (which, address) = word.split_once('=')?;
        let (number, name) = which.split_once(':').unwrap_or((which, ""));
        Some(Inherited {
            number: number.parse().ok()?,
            name: (!name.is_empty()).then(|| name.to_owned()),
            what: What::Tcp(address.parse().ok()?),
            open: false,
        })
    };
    words.split(' ').filter_map(word).collect()
}

fn open_descriptors() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let number = |entry: io::Result<DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    // The one of the directory is among them, and gone when it is looked at.
    let mut numbers: Vec<_> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// What a descriptor is; `None` if it is not open.
fn look(number: i32) -> Option<What> {
    let socket = copy(number).ok()?;
    let what = match kind(&socket) {
        Ok(what) => what,
        Err(_) => What::Other("no socket"),
    };
    if number > 2 && !matches!(what, What::Other(_)) {
        // Programs that the process starts shall not have it too. If that fails they do.
        let _ = uapi::fcntl_setfd(number, uapi::c::FD_CLOEXEC);
    }
    Some(what)
}

fn kind(socket: &Socket) -> io::Result<What> {
    let address = socket.local_addr()?;
    let stream = socket.r#type()? == Type::STREAM;
    let listens = socket.is_listener()?;
    Ok(match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) if stream && listens => What::Tcp(address),
        (None, Some(path)) if stream && listens => What::Unix(path.to_owned()),
        (Some(_), _) if stream => What::Other("a TCP socket that does not listen"),
        (Some(_), _) => What::Other("a UDP socket"),
        (None, _) => What::Other("a socket of another family"),
    })
}

/// A descriptor of our own for the same socket.
fn copy(number: i32) -> io::Result<Socket> {
    let copy = uapi::fcntl_dupfd_cloexec(number, 3).map_err(io::Error::from)?;
    Ok(OwnedFd::from(copy).into())
}

/// Where the descriptor listens that `fd@WHICH` means, by its number or its name.
///
/// # Errors
/// When there is no such descriptor, several have the name, or it is no listening TCP socket.
pub fn address(which: &str) -> Result<SocketAddr, Unusable> {
    find(noted(), which)
}

/// Copies of the sockets of `address`, of which there may be several; none if the process was not
/// started with one.
///
/// # Errors
/// When there is no descriptor left.
pub fn sockets(address: SocketAddr) -> io::Result<Vec<Socket>> {
    let there = noted().iter().filter(|one| one.open);
    let there = there.filter(|one| one.what == What::Tcp(address));
    there.map(|one| copy(one.number)).collect()
}

/// A copy of the socket that listens at a path; `None` if the process was not started with one.
///
/// # Errors
/// When there is no descriptor left.
pub fn unix(path: &Path) -> io::Result<Option<Socket>> {
    let there = |one: &&Inherited| matches!(&one.what, What::Unix(at) if at == path);
    let there = noted().iter().filter(|one| one.open).find(there);
    there.map(|one| copy(one.number)).transpose()
}

/// The value of [`VARIABLE`] for the process that takes over.
pub fn for_the_next() -> String {
    let word = |one: &Inherited| {
        let What::Tcp(address) = one.what else {
            return None;
        };
        let name = one.name.as_ref().map(|name| format!(":{name}"));
        Some(format!(
            "{}{}={address}",
            one.number,
            name.unwrap_or_default()
        ))
    };
    let words: Vec<_> = noted().iter().filter_map(word).collect();
    words.join(" ")
}

/// Those that can be listened on, for people: `3 (0.0.0.0:80), 4 (web, 0.0.0.0:443)`.
pub fn listed() -> String {
    let shown = |one: &Inherited| {
        let What::Tcp(address) = one.what else {
            return None;
        };
        let name = one.name.as_ref().map(|name| format!("{name}, "));
        Some(format!(
            "{} ({}{address})",
            one.number,
            name.unwrap_or_default()
        ))
    };
    let all: Vec<_> = noted().iter().filter_map(shown).collect();
    all.join(", ")
}

fn noted() -> &'static [Inherited] {
    NOTED.get().map_or(&[], Vec::as_slice)
}

fn find(noted: &[Inherited], which: &str) -> Result<SocketAddr, Unusable> {
    let number: Option<i32> = which.parse().ok();
    let is_meant = |one: &&Inherited| match number {
        Some(number) => one.number == number,
        None => one.name.as_deref() == Some(which),
    };
    let meant: Vec<_> = noted.iter().filter(is_meant).collect();
    match (&meant[..], number) {
        ([], Some(_)) => Err(Unusable::NotOpen),
        ([], None) => Err(Unusable::NoSuchName),
        ([one], _) => match &one.what {
            What::Tcp(address) => Ok(*address),
            What::Unix(_) => Err(Unusable::Is("a Unix socket")),
            What::Other(what) => Err(Unusable::Is(what)),
        },
        (several, _) => Err(Unusable::Several(
            several.iter().map(|one| one.number).collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::AsRawFd;

    use super::*;

    fn inherited(number: i32, name: Option<&str>, what: What) -> Inherited {
        Inherited {
            number,
            name: name.map(ToOwned::to_owned),
            what,
            open: true,
        }
    }

    #[test]
    fn a_descriptor_is_what_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(look(listener.as_raw_fd()), Some(What::Tcp(address)));
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = |what| Some(What::Other(what));
        assert_eq!(look(udp.as_raw_fd()), other("a UDP socket"));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(look(file.as_raw_fd()), other("no socket"));
        assert_eq!(look(i32::MAX), None);
        assert!(open_descriptors().contains(&file.as_raw_fd()));
    }

    #[test]
    fn one_is_found_by_number_and_name() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let all = [
            inherited(0, None, What::Other("no socket")),
            inherited(3, Some("web"), What::Tcp(address(80))),
            inherited(4, Some("db"), What::Tcp(address(5432))),
            inherited(5, Some("db"), What::Unix("/run/db".into())),
        ];
        assert_eq!(find(&all, "3"), Ok(address(80)));
        assert_eq!(find(&all, "web"), Ok(address(80)));
        assert_eq!(find(&all, "0"), Err(Unusable::Is("no socket")));
        assert_eq!(find(&all, "5"), Err(Unusable::Is("a Unix socket")));
        assert_eq!(find(&all, "6"), Err(Unusable::NotOpen));
        assert_eq!(find(&all, "mail"), Err(Unusable::NoSuchName));
        assert_eq!(find(&all, "db"), Err(Unusable::Several(vec![4, 5])));
    }

    #[test]
    fn who_takes_over_is_told_where_they_listen() {
        let all = told("3=127.0.0.1:80 4:web=[::]:443 garbage 5=nowhere");
        assert_eq!(find(&all, "3"), Ok("127.0.0.1:80".parse().unwrap()));
        assert_eq!(find(&all, "web"), Ok("[::]:443".parse().unwrap()));
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|one| !one.open));
    }
}

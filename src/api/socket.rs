//! The socket's file, whose it is and who may open it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::unistd::{Group, User};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use crate::config::operation::ApiConfig;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// A socket at its path that is not listening yet. The path is freed when it is dropped.
#[derive(Debug)]
pub struct ApiSocket {
    socket: Socket,
    file: Arc<SocketFile>,
}

/// The path of a socket.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Its device and inode: another process may have put its own there since.
    identity: (u64, u64),
    /// Whether it is another process's, which has the same socket.
    left: AtomicBool,
}

impl ApiSocket {
    /// Makes the socket that `config` describes, in place of one that nobody listens on.
    ///
    /// # Errors
    /// When it cannot be made, or somebody listens there.
    pub fn bind(config: &ApiConfig) -> io::Result<Self> {
        let path = &config.socket;
        match socket()?.connect(&SockAddr::unix(path)?) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
            // Taken, or waiting to be: somebody listens.
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
        refuse_other_files(path)?;
        // Nobody can connect to it before it has its owner and its permissions, and there is
        // no moment at which there is nothing at the path.
        let unready = unready(path);
        let _ = fs::remove_file(&unready);
        let socket = socket()?;
        socket.bind(&SockAddr::unix(&unready)?)?;
        let made = settle(config, &unready).and_then(|()| fs::rename(&unready, path));
        if let Err(error) = made {
            let _ = fs::remove_file(&unready);
            return Err(error);
        }
        let file = Arc::new(SocketFile::of(path)?);
        Ok(Self { socket, file })
    }

    /// The socket at `path` that another process listens on. The path is that one's until
    /// [`SocketFile::own`].
    ///
    /// # Errors
    /// When its file is gone.
    pub fn inherited(socket: Socket, path: &Path) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let file = Arc::new(SocketFile::of(path)?);
        file.leave();
        Ok(Self { socket, file })
    }

    /// Listens. The path is freed when the second part of the result is dropped.
    ///
    /// # Errors
    /// When the system refuses, or outside of an event loop.
    pub fn listen(self) -> io::Result<(UnixListener, Arc<SocketFile>)> {
        self.socket.listen(BACKLOG)?;
        let listener = std::os::unix::net::UnixListener::from(self.socket);
        Ok((UnixListener::from_std(listener)?, self.file))
    }
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: (file.dev(), file.ino()),
            left: AtomicBool::new(false),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the path to another process.
    pub fn leave(&self) {
        self.left.store(true, Relaxed);
    }

    /// Takes the path from another process.
    pub fn own(&self) {
        self.left.store(false, Relaxed);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.left.load(Relaxed) {
            return;
        }
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
}

/// Where the socket is made before it is moved to its path.
fn unready(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    PathBuf::from(name)
}

/// Nothing but a socket may be replaced.
fn refuse_other_files(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => {
            Err(io::Error::other("a file that is no socket is there"))
        }
        _ => Ok(()),
    }
}

fn settle(config: &ApiConfig, path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(config.mode))?;
    let user = config.user.as_deref().map(user).transpose()?;
    let group = config.group.as_deref().map(group).transpose()?;
    if user.is_some() || group.is_some() {
        chown(path, user, group)?;
    }
    Ok(())
}

fn user(name: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = User::from_name(name)?.map(|user| user.uid.as_raw());
    found.ok_or_else(|| io::Error::other(format!("there is no user {name:?}")))
}

fn group(name: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = Group::from_name(name)?.map(|group| group.gid.as_raw());
    found.ok_or_else(|| io::Error::other(format!("there is no group {name:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::operation::Level;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let name = format!("backstop-socket-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn config(&self) -> ApiConfig {
            ApiConfig {
                socket: self.0.join("api.sock"),
                mode: 0o640,
                user: None,
                group: None,
                level: Level::User,
            }
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn the_file_has_its_permissions_and_goes_with_the_socket() {
        let directory = Directory::new("mode");
        let config = directory.config();
        let (listener, file) = ApiSocket::bind(&config).unwrap().listen().unwrap();
        let mode = fs::metadata(&config.socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
        let in_use = ApiSocket::bind(&config).unwrap_err();
        assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
        drop((listener, file));
        assert!(!config.socket.exists());
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_other_files_are_not() {
        let directory = Directory::new("stale");
        let config = directory.config();
        drop(std::os::unix::net::UnixListener::bind(&config.socket).unwrap());
        let first = ApiSocket::bind(&config).unwrap();
        // Somebody else's is at the path now, which is not the first one's to remove.
        let second = ApiSocket::bind(&config).unwrap();
        drop(first);
        assert!(config.socket.exists());
        drop(second);
        assert!(!config.socket.exists());
        fs::write(&config.socket, "precious").unwrap();
        assert!(ApiSocket::bind(&config).is_err());
        assert_eq!(fs::read_to_string(&config.socket).unwrap(), "precious");
    }

    #[test]
    fn users_and_groups_by_name_or_number() {
        assert_eq!(user("0").unwrap(), 0);
        assert_eq!(user("root").unwrap(), 0);
        assert_eq!(group("root").unwrap(), 0);
        assert!(user("no such user").is_err());
        assert!(group("no such group").is_err());
    }
}

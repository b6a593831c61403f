//! Reading and writing, so that a file is whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Saved;

/// More is no file of ours: 10,000 servers take 6 MB.
const MOST_BYTES: u64 = 64 << 20;

/// Reads the file at `path`; `None` if there is none.
///
/// # Errors
/// Why it cannot be used, in words.
pub fn load(path: &Path) -> Result<Option<Saved>, String> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(file) => file,
    };
    let mut bytes = Vec::new();
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it is larger than {} MiB", MOST_BYTES >> 20));
    }
    Saved::parse(&bytes).map(Some)
}

/// Puts `bytes` in the place of the file at `path`: whoever reads it gets the old ones or the new
/// ones, also after a crash.
///
/// # Errors
/// When they cannot be written; the old file stays.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path);
    let written = write(&new, bytes).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // A disk that is full needs the room.
        let _ = fs::remove_file(&new);
    }
    written
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o640);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    // Without it a power failure could leave an empty file under the new name.
    file.sync_all()
}

/// Always the same name, so that what a crash leaves behind is written over.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let name = format!("backstop-state-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_else_is_left() {
        let directory = Directory::new("replace");
        let path = directory.0.join("state");
        for text in ["one", "2"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_keeps_the_old_file() {
        let directory = Directory::new("full");
        let path = directory.0.join("state");
        replace(&path, b"old").unwrap();
        // The device that is always full.
        std::os::unix::fs::symlink("/dev/full", beside(&path)).unwrap();
        let error = replace(&path, b"new").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn no_file_is_not_an_error_and_a_wrong_one_is() {
        let directory = Directory::new("load");
        let path = directory.0.join("state");
        assert_eq!(load(&path), Ok(None));
        fs::write(&path, "{}").unwrap();
        assert!(load(&path).unwrap_err().contains("missing field"));
        assert!(load(&directory.0).is_err());
    }
}

//! A file that is looked at again and again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

/// Between two looks. Asking the system for one file costs microseconds, and works for files on
/// every kind of file system and behind symbolic links.
const INTERVAL: Duration = Duration::from_secs(1);

/// What changes when a file is written or replaced: device, inode, size, time of change.
type Stamp = (u64, u64, u64, (i64, i64));

/// Tells when a file has changed.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    /// As it was when it was last told of.
    told: Option<Stamp>,
    /// As it was at the last look.
    seen: Option<Stamp>,
}

impl FileWatch {
    pub(super) fn new(path: PathBuf) -> Self {
        let mut watch = Self {
            path,
            told: None,
            seen: None,
        };
        watch.told = watch.look();
        watch.seen = watch.told;
        watch
    }

    /// Waits until the file has changed and is whole: the same at two looks.
    pub(super) async fn changed(&mut self) {
        loop {
            sleep(INTERVAL).await;
            if self.is_new() {
                return;
            }
        }
    }

    fn is_new(&mut self) -> bool {
        let now = self.look();
        let steady = std::mem::replace(&mut self.seen, now) == now;
        // A file that is gone is being replaced.
        let new = steady && now.is_some() && now != self.told;
        if new {
            self.told = now;
        }
        new
    }

    fn look(&self) -> Option<Stamp> {
        let file = fs::metadata(&self.path).ok()?;
        let changed = (file.ctime(), file.ctime_nsec());
        Some((file.dev(), file.ino(), file.size(), changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_when_it_is_over() {
        let name = format!("backstop-watch-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "one").unwrap();
        let mut watch = FileWatch::new(path.clone());
        assert!(!watch.is_new());
        fs::write(&path, "three").unwrap();
        assert_eq!(
            [watch.is_new(), watch.is_new(), watch.is_new()],
            [false, true, false]
        );
        fs::remove_file(&path).unwrap();
        assert_eq!([watch.is_new(), watch.is_new()], [false, false]);
        fs::write(&path, "fifth").unwrap();
        assert_eq!([watch.is_new(), watch.is_new()], [false, true]);
        fs::remove_file(&path).unwrap();
    }
}

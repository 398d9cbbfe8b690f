//! Scratch directories, and the removal of those whose owner was killed.
//!
//! All lie in one directory, each beside a file of its name that its owner holds locked. A lock dies with its owner, so that one
//! which is free says that the directory is nobody's.

use std::fs::{DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

use tempfile::{Builder, NamedTempFile};

/// What the name of a lock ends with.
const LOCK: &str = ".lock";
/// Attempts at a lock that nobody else removes meanwhile.
const ATTEMPTS: usize = 100;

/// A directory that is removed when it is dropped; or, if this process is killed, by the next one that needs one.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
    /// Removed after the directory.
    _lock: Option<NamedTempFile>,
}

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// When the system's directory for temporary files cannot be written.
    pub fn new() -> io::Result<Self> {
        static SWEPT: Once = Once::new();
        let Some(parent) = parent() else {
            let directory = Builder::new().prefix("kinstr-").tempdir()?.keep();
            return Ok(Self { directory, _lock: None });
        };
        SWEPT.call_once(|| sweep(&parent));
        Self::beneath(&parent)
    }

    fn beneath(parent: &Path) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let lock = Builder::new().prefix("").suffix(LOCK).tempfile_in(parent)?;
            // Whoever sweeps may have found the lock free before it was ours.
            if lock.as_file().try_lock().is_err() || !lock.path().exists() {
                continue;
            }
            let directory = beside(lock.path()).ok_or(io::ErrorKind::InvalidFilename)?;
            DirBuilder::new().mode(0o700).create(&directory)?;
            return Ok(Self { directory, _lock: Some(lock) });
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is tried again by who sweeps.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The directory of all scratch directories of this user. `None` if somebody else has taken its name.
fn parent() -> Option<PathBuf> {
    let user = std::fs::metadata("/proc/self").ok()?.uid();
    let parent = std::env::temp_dir().join(format!("kinstr-{user}"));
    // It is there already, as a rule.
    let _ = DirBuilder::new().mode(0o700).create(&parent);
    let is_ours = |meta: Metadata| meta.is_dir() && meta.uid() == user && meta.mode() & 0o022 == 0;
    std::fs::symlink_metadata(&parent).is_ok_and(is_ours).then_some(parent)
}

/// The directory that a lock is for.
fn beside(lock: &Path) -> Option<PathBuf> {
    let name = lock.file_name()?.to_str()?.strip_suffix(LOCK)?;
    (!name.is_empty()).then(|| lock.with_file_name(name))
}

/// Removes what nobody holds. What cannot be read or removed is left: this is housekeeping.
fn sweep(parent: &Path) {
    for lock in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let lock = lock.path();
        let (Some(directory), Ok(file)) = (beside(&lock), File::open(&lock)) else { continue };
        if file.try_lock().is_ok() {
            let _ = std::fs::remove_dir_all(&directory);
            let _ = std::fs::remove_file(&lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_owner_left_is_swept_and_what_is_held_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let held = Scratch::beneath(parent.path()).unwrap();
        let left = parent.path().join("left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("file"), "of a candidate").unwrap();
        std::fs::write(parent.path().join("left.lock"), "").unwrap();
        let other = parent.path().join("other");
        std::fs::create_dir(&other).unwrap();
        sweep(parent.path());
        assert!(held.path().is_dir() && other.is_dir());
        assert!(!left.exists() && !parent.path().join("left.lock").exists());
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}

//! Artifacts by the digest of what they were made from, in the user's cache directory.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The store could not be read or written: an infrastructure fault.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {error}", path.display())]
#[allow(missing_docs)]
pub struct StoreError {
    action: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl StoreError {
    /// Wraps an error of the file system.
    pub fn new(action: &'static str, path: &Path, error: io::Error) -> Self {
        Self { action, path: path.into(), error }
    }
}

/// `$XDG_CACHE_HOME/kinstr`, by default `~/.cache/kinstr`; the system's temporary directory without a home.
pub fn cache_dir() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("kinstr")
}

/// Candidates in Python whose compiled kernels are kept, and solutions whose sources are.
const KEPT_COMPILED: usize = 200;

/// Where the kernels are kept that a candidate in Python compiles itself. Each text has a place of its own: what one leaves
/// there, none but itself believes.
pub fn compiled_dir(digest: &str) -> PathBuf {
    let all = cache_dir().join("compiled");
    keep_latest(&all, KEPT_COMPILED);
    all.join(digest)
}

/// Where the sources of a solution lie. It is as young as its last use, so that none is removed which is being evaluated.
pub fn solution_dir(digest: &str) -> PathBuf {
    let all = cache_dir().join("solutions");
    keep_latest(&all, KEPT_COMPILED);
    let dir = all.join(digest);
    if let Ok(known) = std::fs::File::open(&dir) {
        let _ = known.set_modified(SystemTime::now());
    }
    dir
}

/// Where what `torch.compile` makes of references is kept, all of which are the user's own.
pub fn compiled_references() -> PathBuf {
    cache_dir().join("compiled-references")
}

/// Where the bytecode is kept of packages that were installed without. Only processes that host references write there, and before
/// they run the user's file.
pub fn bytecode_dir() -> PathBuf {
    cache_dir().join("bytecode")
}

/// Removes all but the latest `kept` directories in `parent`. What cannot be read or removed is left: this is housekeeping.
pub fn keep_latest(parent: &Path, kept: usize) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut dated: Vec<(SystemTime, PathBuf)> =
        entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    dated.sort();
    let superfluous = dated.len().saturating_sub(kept);
    for (_, directory) in dated.into_iter().take(superfluous) {
        let _ = std::fs::remove_dir_all(directory);
    }
}

/// The digest of an artifact's inputs: each part's length and bytes, so that no two lists collide.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// What this build of kinstr would do differently from another: version, size and age of the executable.
pub fn build_identity() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let file = std::env::current_exe().ok().and_then(|path| path.metadata().ok());
    let stamp = file.map_or(0, |meta| {
        let age = meta.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        age.map_or(0, |age| age.as_nanos())
    });
    format!("kinstr {version} {stamp}")
}

/// What was read of an artifact.
#[derive(Debug)]
pub struct Stored<T> {
    /// It.
    pub value: T,
    /// The artifact's directory.
    pub dir: PathBuf,
    /// Whether it was there.
    pub reused: bool,
}

/// Directories of artifacts.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store under [`cache_dir`].
    pub fn open() -> Self {
        Self { root: cache_dir().join("artifacts") }
    }

    /// A store under `root`, for tests.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// What `read` finds in the artifact of `digest`, which `make` makes as in [`Store::get_or_make`]. An artifact that
    /// was there and cannot be read is removed and made again.
    ///
    /// # Errors
    /// Whatever `make` or `read` returns, or [`StoreError`].
    pub fn read_or_make<T, E: From<StoreError>>(
        &self,
        digest: &str,
        make: impl Fn(&Path) -> Result<(), E>,
        read: impl Fn(&Path) -> Result<T, E>,
    ) -> Result<Stored<T>, E> {
        let (dir, reused) = self.get_or_make(digest, &make)?;
        match read(&dir) {
            Ok(value) => Ok(Stored { value, dir, reused }),
            Err(_) if reused => {
                std::fs::remove_dir_all(&dir).map_err(|error| StoreError::new("remove", &dir, error))?;
                let (dir, reused) = self.get_or_make(digest, &make)?;
                Ok(Stored { value: read(&dir)?, dir, reused })
            }
            Err(error) => Err(error),
        }
    }

    /// The artifact of `digest`, made by `make` in an empty directory if it is not there, and whether it was.
    /// An artifact appears by one rename: a killed or failed `make` leaves none.
    ///
    /// # Errors
    /// Whatever `make` returns, or [`StoreError`].
    pub fn get_or_make<E: From<StoreError>>(
        &self,
        digest: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(PathBuf, bool), E> {
        let place = self.root.join(&digest[..2]).join(digest);
        if place.is_dir() {
            touch(&place);
            return Ok((place, true));
        }
        self.collect(MOST_BYTES, IN_USE);
        let parent = place.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(parent).map_err(|error| StoreError::new("create", parent, error))?;
        let scratch = tempfile::Builder::new()
            .prefix("making-")
            .tempdir_in(parent)
            .map_err(|error| StoreError::new("create a directory in", parent, error))?;
        make(scratch.path())?;
        match std::fs::rename(scratch.path(), &place) {
            Ok(()) => drop(scratch.keep()),
            // Somebody else was faster: theirs is as good.
            Err(_) if place.is_dir() => {}
            Err(error) => return Err(StoreError::new("move an artifact to", &place, error).into()),
        }
        Ok((place, false))
    }
}

/// Bytes of artifacts above which the store is collected before another one is made.
const MOST_BYTES: u64 = 4 << 30;
/// An artifact that was asked for this recently may be in use.
const IN_USE: Duration = Duration::from_secs(3600);

/// Marks an artifact as asked for now. That it cannot be marked (a read-only cache) only makes it look older.
fn touch(artifact: &Path) {
    let _ = std::fs::File::open(artifact).and_then(|dir| dir.set_modified(SystemTime::now()));
}

impl Store {
    /// Removes what was not asked for the longest, until half of `most` bytes are left; nothing below `most`, and
    /// nothing asked for within `in_use`. What cannot be read or removed is left: this is housekeeping.
    fn collect(&self, most: u64, in_use: Duration) {
        let mut artifacts = self.artifacts();
        let mut bytes: u64 = artifacts.iter().map(|artifact| artifact.bytes).sum();
        if bytes <= most {
            return;
        }
        artifacts.sort_by_key(|artifact| artifact.asked_for);
        let old = |artifact: &&Kept| artifact.asked_for.elapsed().is_ok_and(|age| age >= in_use);
        for artifact in artifacts.iter().filter(old) {
            if bytes <= most / 2 {
                break;
            }
            if std::fs::remove_dir_all(&artifact.dir).is_ok() {
                bytes -= artifact.bytes;
            }
        }
    }

    fn artifacts(&self) -> Vec<Kept> {
        let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
        let shards = entries(&self.root).map(|shard| shard.path());
        let dirs = shards.flat_map(|shard| entries(&shard).collect::<Vec<_>>());
        let kept = dirs.filter_map(|dir| {
            let asked_for = dir.metadata().ok().filter(|meta| meta.is_dir())?.modified().ok()?;
            let files = entries(&dir.path()).filter_map(|file| file.metadata().ok());
            Some(Kept { bytes: files.map(|meta| meta.len()).sum(), dir: dir.path(), asked_for })
        });
        kept.collect()
    }
}

/// An artifact in the store.
struct Kept {
    dir: PathBuf,
    bytes: u64,
    asked_for: SystemTime,
}

/// Writes a file by rename, so that no reader sees half of it.
///
/// # Errors
/// [`StoreError`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error| StoreError::new("write", path, error);
    // Less the umask, as any file that is not temporary.
    let permissions = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(parent).map_err(failed)?;
    io::Write::write_all(&mut file, bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_made_once_and_a_failed_one_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::at(root.path().into());
        let failed = store
            .get_or_make("abcd", |dir| Err(StoreError::new("write", dir, io::Error::other("disk full"))));
        assert!(failed.is_err());
        let make =
            |dir: &Path| std::fs::write(dir.join("a"), "1").map_err(|e| StoreError::new("write", dir, e));
        assert!(!store.get_or_make("abcd", make).unwrap().1);
        let (path, reused) = store.get_or_make("abcd", make).unwrap();
        assert!(reused && path.join("a").is_file());
    }

    #[test]
    fn a_damaged_artifact_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::at(root.path().into());
        let make =
            |dir: &Path| std::fs::write(dir.join("a"), "1").map_err(|e| StoreError::new("write", dir, e));
        let read = |dir: &Path| std::fs::read(dir.join("a")).map_err(|e| StoreError::new("read", dir, e));
        let made = store.read_or_make("abcd", make, read).unwrap();
        std::fs::remove_file(made.dir.join("a")).unwrap();
        assert_eq!(store.read_or_make("abcd", make, read).unwrap().value, b"1");
        assert!(store.read_or_make("abcd", make, read).unwrap().reused);
    }

    #[test]
    fn what_was_not_asked_for_the_longest_is_collected_first() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::at(root.path().into());
        let make = |dir: &Path| {
            std::fs::write(dir.join("a"), [0; 100]).map_err(|e| StoreError::new("write", dir, e))
        };
        let places = ["aa1", "aa2", "bb3"].map(|digest| store.get_or_make(digest, make).unwrap().0);
        for (age, place) in [(20, &places[0]), (30, &places[1]), (10, &places[2])] {
            let then = SystemTime::now() - Duration::from_secs(age);
            std::fs::File::open(place).unwrap().set_modified(then).unwrap();
        }
        store.collect(300, Duration::ZERO);
        assert!(places.iter().all(|place| place.is_dir()), "not above the limit");
        store.collect(299, Duration::from_secs(60));
        assert!(places.iter().all(|place| place.is_dir()), "all in use");
        store.collect(299, Duration::ZERO);
        assert_eq!(places.map(|place| place.is_dir()), [false, false, true]);
    }

    #[test]
    fn digests_keep_parts_apart() {
        assert_ne!(digest([&b"ab"[..], b"c"]), digest([&b"a"[..], b"bc"]));
    }
}

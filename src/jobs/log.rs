//! `events.jsonl`: appended to, one line an event, each handed to the system before the next thing happens, so
//! that killing kinstr loses none. A power cut may: nothing waits for the disk.

use super::event::Event;
use crate::store::StoreError;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

/// File name of the log in an evaluation's directory.
pub const FILE: &str = "events.jsonl";

/// File that the process which writes a log holds locked; the lock dies with it.
const LOCK: &str = ".lock";

/// Why a log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process writes it.
    #[error("another evaluation is writing into {}", dir.display())]
    Busy {
        /// Directory of the log.
        dir: PathBuf,
    },
}

/// The event log of one evaluation.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    events: Vec<Event>,
    /// Held for as long as this log is open.
    _lock: File,
}

impl Log {
    /// Opens the log in `dir`. Events of an earlier run are kept if it began with `digest`; a last line that was
    /// cut off by a kill is dropped. Otherwise the log starts empty.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(dir: &Path, digest: &str) -> Result<Self, LogError> {
        std::fs::create_dir_all(dir).map_err(|error| StoreError::new("create", dir, error))?;
        let lock = lock(dir)?;
        let path = dir.join(FILE);
        let earlier = read(&path).unwrap_or_default();
        let same = matches!(earlier.first(), Some(Event::Began { digest: known, .. }) if known == digest);
        if !same {
            remove_products(dir)?;
        }
        let events = if same { earlier } else { Vec::new() };
        // Written anew: what is on disk is whole lines of this evaluation and nothing else.
        let text: String = events.iter().map(line).collect();
        crate::store::write_atomically(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|error| StoreError::new("open", &path, error))?;
        Ok(Self { path, file, events, _lock: lock })
    }

    /// Appends `event`.
    ///
    /// # Errors
    /// [`StoreError`]; a full disk ends the evaluation.
    pub fn push(&mut self, event: Event) -> Result<(), StoreError> {
        let written = self.file.write_all(line(&event).as_bytes());
        written.map_err(|error| StoreError::new("append to", &self.path, error))?;
        self.events.push(event);
        Ok(())
    }

    /// Everything so far, earlier runs included.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Directory of the evaluation.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

/// Names of what an evaluation leaves beside its log.
fn is_product(name: &str) -> bool {
    const SUFFIXES: [&str; 3] = [".krec", ".sites.json", ".pftrace"];
    name == "report.json" || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Removes what another evaluation left in `dir`: a report of that one beside the events of this one would lie.
fn remove_products(dir: &Path) -> Result<(), StoreError> {
    let entries = std::fs::read_dir(dir).map_err(|error| StoreError::new("read", dir, error))?;
    for entry in entries.flatten().filter(|entry| is_product(&entry.file_name().to_string_lossy())) {
        let path = entry.path();
        std::fs::remove_file(&path).map_err(|error| StoreError::new("remove", &path, error))?;
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join(LOCK);
    let file = File::create(&path).map_err(|error| StoreError::new("create", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Busy { dir: dir.into() }),
        Err(TryLockError::Error(error)) => Err(StoreError::new("lock", &path, error).into()),
    }
}

fn line(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default() + "\n"
}

/// Reads a log. A last line that a kill cut off is dropped.
///
/// # Errors
/// [`StoreError`] if the file cannot be read, or another line of it is no event.
pub fn read(path: &Path) -> Result<Vec<Event>, StoreError> {
    let text = std::fs::read_to_string(path).map_err(|error| StoreError::new("read", path, error))?;
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let event = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let error = std::io::Error::other(format!("line {} is no event: {error}", index + 1));
            StoreError::new("read", path, error)
        })
    };
    whole.lines().enumerate().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str) -> Event {
        Event::Note { text: text.into() }
    }

    fn began(digest: &str) -> Event {
        Event::Began {
            digest: digest.into(),
            candidate: "c".into(),
            problem: "p".into(),
            target: "cpu".into(),
            provenance: Default::default(),
        }
    }

    #[test]
    fn a_log_goes_on_after_a_kill_and_starts_over_for_another_digest() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path(), "one").unwrap();
        log.push(began("one")).unwrap();
        log.push(note("a")).unwrap();
        drop(log);
        let path = dir.path().join(FILE);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"event\":\"no").unwrap();
        let again = Log::open(dir.path(), "one").unwrap();
        assert_eq!(again.events(), [began("one"), note("a")]);
        drop(again);
        let product = dir.path().join("timing-0.krec");
        std::fs::write(&product, "of the first").unwrap();
        assert!(Log::open(dir.path(), "two").unwrap().events().is_empty());
        assert!(!product.exists());
    }

    #[test]
    fn a_damaged_log_says_where_and_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path(), "one").unwrap();
        log.push(began("one")).unwrap();
        drop(log);
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + "{}\n" + &line(&note("a"))).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2 is no event"));
        assert!(Log::open(dir.path(), "one").unwrap().events().is_empty());
    }

    #[test]
    fn a_log_has_one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), "one").unwrap();
        assert!(matches!(Log::open(dir.path(), "one"), Err(LogError::Busy { .. })));
        drop(log);
        assert!(Log::open(dir.path(), "one").is_ok());
    }
}

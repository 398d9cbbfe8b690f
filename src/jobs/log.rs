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
    set_aside: Option<PathBuf>,
    /// Held for as long as this log is open.
    _lock: File,
}

impl Log {
    /// Opens the log in `dir`. Events of an earlier run are kept if it began with `digest`; a last line that was
    /// cut off by a kill is dropped. Otherwise the log starts empty; one that cannot be read is set aside.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(dir: &Path, digest: &str) -> Result<Self, LogError> {
        std::fs::create_dir_all(dir).map_err(|error| StoreError::new("create", dir, error))?;
        let lock = lock(dir)?;
        let path = dir.join(FILE);
        let was_evaluation = began_here(&path);
        let (earlier, set_aside) = match read(&path) {
            Ok(earlier) => (earlier, None),
            Err(_) if !path.exists() => (Vec::new(), None),
            Err(_) => (Vec::new(), Some(set_aside(&path)?)),
        };
        let same = matches!(earlier.first(), Some(Event::Began { digest: known, .. }) if known == digest);
        if was_evaluation && !same {
            remove_products(dir)?;
        }
        let events = if same { earlier } else { Vec::new() };
        // Written anew: what is on disk is whole lines of this evaluation and nothing else.
        let text: String = events.iter().map(line).collect();
        crate::store::write_atomically(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|error| StoreError::new("open", &path, error))?;
        Ok(Self { path, file, events, set_aside, _lock: lock })
    }

    /// Appends `event`.
    ///
    /// # Errors
    /// [`StoreError`]; a full disk ends the evaluation. An event that could not be read again, because a number in it is
    /// not finite, is refused: it would make the whole log unreadable.
    pub fn push(&mut self, event: Event) -> Result<(), StoreError> {
        let line = line(&event);
        let written = match serde_json::from_str::<Event>(&line) {
            Ok(again) if again == event => self.file.write_all(line.as_bytes()),
            _ => Err(std::io::Error::other(format!("an event cannot be kept: {event:?}"))),
        };
        written.map_err(|error| StoreError::new("append to", &self.path, error))?;
        self.events.push(event);
        Ok(())
    }

    /// Everything so far, earlier runs included.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Where a log went that was in this one's place and could not be read.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Directory of the evaluation.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

/// Names of what an evaluation leaves beside its log. Others are the user's.
fn is_product(name: &str) -> bool {
    const NAMES: [&str; 4] = ["report.json", "trace.pftrace", "timeline.krec", "timeline.sites.json"];
    NAMES.contains(&name) || RECORDS.iter().any(|stem| name.strip_prefix(stem).is_some_and(is_record_file))
}

/// What the names of record files and of their site tables begin with.
const RECORDS: [&str; 4] = ["timing", "pilot", "counting", "observing"];

fn is_record_file(rest: &str) -> bool {
    let workload = rest.strip_prefix('-').and_then(|rest| rest.strip_suffix(".krec"));
    rest == ".sites.json"
        || workload.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether an evaluation began the log at `path`, whatever became of its later lines: only then is what lies beside it
/// kinstr's to remove.
fn began_here(path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    matches!(serde_json::from_slice(first), Ok(Event::Began { .. }))
}

/// Moves a log that cannot be read out of the way, over nothing that is there.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = |number: u32| match number {
        1 => path.with_extension("jsonl.damaged"),
        number => path.with_extension(format!("jsonl.damaged-{number}")),
    };
    let aside = (1..u32::MAX).map(name).find(|aside| !aside.exists()).unwrap_or_else(|| name(1));
    std::fs::rename(path, &aside).map_err(|error| StoreError::new("set aside", path, error))?;
    Ok(aside)
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
        let product = dir.path().join("report.json");
        std::fs::write(&product, "of the first").unwrap();
        let log = Log::open(dir.path(), "one").unwrap();
        assert!(log.events().is_empty() && !product.exists());
        let aside = log.set_aside().unwrap().to_owned();
        assert_eq!(aside.file_name().unwrap(), "events.jsonl.damaged");
        assert!(read(&aside).unwrap_err().to_string().contains("line 2 is no event"));
        drop(log);
        std::fs::write(&path, "{}\n").unwrap();
        let log = Log::open(dir.path(), "one").unwrap();
        assert_eq!(log.set_aside().unwrap().file_name().unwrap(), "events.jsonl.damaged-2");
        assert!(aside.exists());
    }

    #[test]
    fn a_directory_that_held_no_evaluation_keeps_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["report.json", "mine.pftrace", "timing-0.krec", "mine.krec", "timing.sites.json"];
        names.iter().for_each(|name| std::fs::write(dir.path().join(name), "mine").unwrap());
        drop(Log::open(dir.path(), "one").unwrap());
        // No event in it, so that nothing there was an evaluation's.
        drop(Log::open(dir.path(), "two").unwrap());
        std::fs::write(dir.path().join(FILE), "{\"event\":\"mine\"}\n").unwrap();
        drop(Log::open(dir.path(), "two").unwrap());
        assert!(names.iter().all(|name| dir.path().join(name).exists()));
    }

    #[test]
    fn an_evaluation_that_begins_anew_removes_what_kinstr_wrote_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        Log::open(dir.path(), "one").unwrap().push(began("one")).unwrap();
        let (mine, products) = (
            ["old.pftrace", "timing-x.krec", "timing-.krec", "my-timing-0.krec", "notes.sites.json"],
            [
                "report.json",
                "trace.pftrace",
                "timeline.krec",
                "pilot-0.krec",
                "observing-12.krec",
                "counting.sites.json",
            ],
        );
        mine.iter().chain(&products).for_each(|name| std::fs::write(dir.path().join(name), "").unwrap());
        drop(Log::open(dir.path(), "two").unwrap());
        assert!(mine.iter().all(|name| dir.path().join(name).exists()));
        assert!(!products.iter().any(|name| dir.path().join(name).exists()));
    }

    #[test]
    fn an_event_that_could_not_be_read_again_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path(), "one").unwrap();
        log.push(began("one")).unwrap();
        for wall_ms in [f64::NAN, f64::INFINITY] {
            let stage = super::super::event::Stage::Load;
            let event =
                Event::StageEnded { stage, attempt: 1, wall_ms, digest: None, reused: false, failure: None };
            assert!(log.push(event).unwrap_err().to_string().contains("cannot be kept"));
        }
        drop(log);
        assert_eq!(read(&dir.path().join(FILE)).unwrap(), [began("one")]);
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

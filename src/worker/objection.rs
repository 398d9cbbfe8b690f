//! What the Python host says is wrong with a candidate.

use std::path::{Component, Path};

use kinstr_trace::sites::Place;
use serde_json::Value;
use thiserror::Error;

use super::reply::Refusal;

/// Characters of a message that are kept: what a candidate raises may hold a whole tensor.
const LONGEST: usize = 600;
/// Kinds that the host knows. The candidate's code runs in the same process, so that others may come.
const KINDS: [&str; 26] = [
    "raised",
    "called-exit",
    "illegal-address",
    "kernel-trapped",
    "launch-failed",
    "memory-limit",
    "misaligned-address",
    "missing-module",
    "no-function",
    "no-kernel",
    "no-kernel-launched",
    "no-model",
    "not-a-module",
    "not-a-tensor",
    "not-replayed",
    "out-of-device-memory",
    "reads-problem",
    "unsupported",
    "wrong-arguments",
    "wrong-count",
    "wrong-device",
    "wrong-dtype",
    "wrong-shape",
    "wrong-stride",
    "writes-input",
    "wrong-compute-capability",
];

/// The host's account of a candidate. Its words may be the candidate's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Objection {
    /// Stable kebab-case name of the cause.
    pub kind: &'static str,
    /// What the candidate does, as it goes on after "the candidate".
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Line of a file of the candidate's, if it is about one.
    pub place: Option<Place>,
}

impl Objection {
    /// What `refusal` says of the candidate in the file or folder `path`, which the user calls `name`.
    pub fn new(refusal: &Refusal, path: &Path, name: &Path) -> Self {
        let known = KINDS.into_iter().find(|kind| *kind == refusal.kind);
        let file =
            refusal.details.get("file").and_then(Value::as_str).and_then(|file| named(file, path, name));
        let line = refusal.details.get("line").and_then(Value::as_u64).and_then(|line| line.try_into().ok());
        let place = file.zip(line).map(|(file, line)| Place { file, line, column: 0 });
        let message = refusal.message.strip_prefix("the candidate ").unwrap_or(&refusal.message);
        Self {
            kind: known.unwrap_or("refused"),
            message: shortened(message),
            hint: refusal.hint.as_deref().map(shortened),
            place,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or("the line is where the candidate's file led to it")
    }
}

/// What the user calls `file`, if it is the candidate's.
fn named(file: &str, path: &Path, name: &Path) -> Option<String> {
    let inside = Path::new(file).strip_prefix(path).ok()?;
    let leaves = !inside.components().all(|part| matches!(part, Component::Normal(_)));
    let whole = if inside.as_os_str().is_empty() { name.to_owned() } else { name.join(inside) };
    (!leaves).then(|| whole.display().to_string())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(kind: &str, message: &str, file: &str) -> Refusal {
        serde_json::from_value(json!({ "kind": kind, "message": message, "file": file, "line": 3 })).unwrap()
    }

    #[test]
    fn only_lines_of_the_candidate_and_known_kinds_are_kept() {
        let objection = |refusal: &Refusal| Objection::new(refusal, Path::new("/c.py"), Path::new("c.py"));
        let own = objection(&refusal("raised", "the candidate raised it", "/c.py"));
        assert_eq!((own.kind, own.to_string()), ("raised", "raised it".into()));
        assert_eq!(own.place.map(|place| (place.file, place.line)), Some(("c.py".into(), 3)));
        let inside = |file| Objection::new(&refusal("raised", "x", file), Path::new("/s"), Path::new(""));
        assert_eq!(inside("/s/a/b.py").place.map(|place| place.file), Some("a/b.py".into()));
        assert_eq!(inside("/s/../b.py").place, None);
        let other = objection(&refusal("sudo", "x", "/etc/passwd"));
        assert_eq!((other.kind, other.place), ("refused", None));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(shortened(&"ü".repeat(LONGEST + 1)).chars().count(), LONGEST + 2);
        assert_eq!(shortened("short"), "short");
    }
}

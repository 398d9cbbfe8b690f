//! Reports to compare: the directory of an evaluation, or a file.

use crate::{eval::replay, jobs::log};
use kinstr_trace::report::{Report, SCHEMA_VERSION};
use std::{
    io,
    path::{Path, PathBuf},
};

/// File name of a report in the directory of an evaluation.
const REPORT: &str = "report.json";

/// Why there is no report to compare.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReadError {
    #[error("cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} is no report: {reason}", path.display())]
    NoReport { path: PathBuf, reason: String },
    #[error("{} is a report of schema version {found}, this build reads {SCHEMA_VERSION}", path.display())]
    Version { path: PathBuf, found: u64 },
}

/// Reads the report at `path`. Of an evaluation's directory it is folded anew, in full, from events and records;
/// where only the report was kept, and for a file, it is as it was written, which may be cut short.
///
/// # Errors
/// [`ReadError`].
pub fn read(path: &Path) -> Result<Report, ReadError> {
    if path.join(log::FILE).is_file() {
        let no_report = |reason: String| ReadError::NoReport { path: path.to_owned(), reason };
        return replay(path).map_err(|error| no_report(error.to_string()));
    }
    let file = if path.is_dir() { path.join(REPORT) } else { path.to_owned() };
    let text = std::fs::read(&file).map_err(|error| ReadError::Unreadable { path: file.clone(), error })?;
    parse(&text, &file)
}

fn parse(text: &[u8], path: &Path) -> Result<Report, ReadError> {
    let no_report = |reason: String| ReadError::NoReport { path: path.to_owned(), reason };
    let value: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| no_report(error.to_string()))?;
    match value.get("schema_version").and_then(serde_json::Value::as_u64) {
        Some(found) if found != u64::from(SCHEMA_VERSION) => {
            Err(ReadError::Version { path: path.to_owned(), found })
        }
        _ => serde_json::from_value(value).map_err(|error| no_report(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_report_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        let mut told = vec![];
        for text in ["", "{", "{}", r#"{"schema_version":999}"#] {
            std::fs::write(&file, text).unwrap();
            told.push(read(&file).unwrap_err().to_string().replace(&file.display().to_string(), "x.json"));
        }
        told.push(
            read(folder.path())
                .unwrap_err()
                .to_string()
                .replace(&folder.path().display().to_string(), "folder"),
        );
        insta::assert_snapshot!(told.join("\n"));
    }
}

//! From a path to a problem.
use super::document::Document;
use super::{Problem, ProblemError, flashinfer, kernelbench, parse};
use std::fs;
use std::path::Path;

impl Problem {
    /// Loads a problem: a TOML file, a KernelBench `.py` file, or a FlashInfer-Bench Definition in `.json`.
    ///
    /// A KernelBench file is run, in a process of its own, to learn its shapes.
    ///
    /// # Errors
    /// When the file or its reference cannot be read, or something in it is wrong; the error shows the place.
    pub fn load(path: &Path) -> Result<Problem, ProblemError> {
        Self::load_for(path, None)
    }

    /// The same for GPU `device`, where a KernelBench file is run then if PyTorch has it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_for(path: &Path, device: Option<u32>) -> Result<Problem, ProblemError> {
        let unreadable = |source| ProblemError::Unreadable { path: path.to_owned(), source };
        let unsupported = |reason| ProblemError::UnsupportedFormat { path: path.to_owned(), reason };
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => Self::parse(path, &fs::read_to_string(path).map_err(unreadable)?),
            Some("py") => {
                let text = fs::read_to_string(path).map_err(unreadable)?;
                kernelbench::problem(path, &text, device)
            }
            Some("json") => flashinfer::problem(path, &fs::read_to_string(path).map_err(unreadable)?),
            _ => Err(unsupported("its ending is none of .toml, .py and .json")),
        }
    }

    /// A problem from the text of a TOML file. `path` is where the text stands: complaints name it, and the reference
    /// is looked for beside it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Problem, ProblemError> {
        let problem = parse::problem(Document { path, text })?;
        Ok(Problem { digest: digest(text, &problem)?, ..problem })
    }
}

/// The digest of the problem's text and the reference's.
fn digest(text: &str, problem: &Problem) -> Result<blake3::Hash, ProblemError> {
    let path = problem.reference.path();
    let reference =
        fs::read(path).map_err(|source| ProblemError::Unreadable { path: path.to_owned(), source })?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes()).update(&reference);
    Ok(hasher.finalize())
}

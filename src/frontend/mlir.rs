//! Upstream MLIR: a `.mlir` file and what its comments ask for.

use kinstr_passes::{
    context::{Message, Messages},
    ffi,
};
use melior::{Context, ir::Module};
use std::path::{Path, PathBuf};

/// What `// kinstr: key=value` lines ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// Entry function, where the file has several.
    pub entry: Option<String>,
    /// Pass pipeline to run in place of the default structured half.
    pub pipeline: Option<String>,
}

/// A candidate's text, read once.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path as the user gave it; locations in reports name it.
    pub path: PathBuf,
    /// The text.
    pub text: String,
    /// Its directives.
    pub directives: Directives,
}

/// Why a candidate could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrontendError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    #[allow(missing_docs)]
    Read { path: PathBuf, error: std::io::Error },
    /// No front end for this kind of file.
    #[error("{} is no candidate this version can read", path.display())]
    #[allow(missing_docs)]
    Kind { path: PathBuf },
    /// A `// kinstr:` line that says nothing known.
    #[error("{}:{line}: unknown directive `{text}`", path.display())]
    #[allow(missing_docs)]
    Directive { path: PathBuf, line: usize, text: String },
    /// MLIR does not parse or verify it.
    #[error("{} is not valid MLIR", path.display())]
    #[allow(missing_docs)]
    Parse { path: PathBuf, messages: Vec<Message> },
}

impl Source {
    /// Reads `path`; `-` is standard input.
    ///
    /// # Errors
    /// [`FrontendError::Read`], `Kind` for a suffix other than `.mlir`, `Directive`.
    pub fn read(path: &Path) -> Result<Self, FrontendError> {
        let text = if path == Path::new("-") {
            std::io::read_to_string(std::io::stdin())
        } else if path.extension().is_some_and(|extension| extension == "mlir") || !path.exists() {
            std::fs::read_to_string(path)
        } else {
            return Err(FrontendError::Kind { path: path.into() });
        };
        let text = text.map_err(|error| FrontendError::Read { path: path.into(), error })?;
        let directives = directives(path, &text)?;
        Ok(Self { path: path.into(), text, directives })
    }

    /// Parses the text into `context`.
    ///
    /// # Errors
    /// [`FrontendError::Parse`] with MLIR's messages and their places.
    pub fn parse<'c>(&self, context: &'c Context, messages: &Messages) -> Result<Module<'c>, FrontendError> {
        messages.take();
        ffi::parse_module(context, &self.text, &self.path.to_string_lossy())
            .ok_or_else(|| FrontendError::Parse { path: self.path.clone(), messages: messages.take() })
    }
}

/// Reads the `// kinstr: key=value` lines. A pipeline may go on over several such lines.
fn directives(path: &Path, text: &str) -> Result<Directives, FrontendError> {
    let mut found = Directives::default();
    for (index, line) in text.lines().enumerate() {
        let Some(body) =
            line.trim().strip_prefix("//").and_then(|line| line.trim_start().strip_prefix("kinstr:"))
        else {
            continue;
        };
        let body = body.trim();
        let unknown =
            || FrontendError::Directive { path: path.into(), line: index + 1, text: body.to_owned() };
        match body.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("entry", value)) => found.entry = Some(value.trim_start_matches('@').to_owned()),
            Some(("pipeline", value)) => {
                let earlier = found.pipeline.take().map(|text| text + ",").unwrap_or_default();
                found.pipeline = Some(earlier + value.trim_end_matches(','));
            }
            _ => return Err(unknown()),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_and_unknown_ones_refused() {
        let path = Path::new("a.mlir");
        let text = "// kinstr: entry=@f\n  // kinstr: pipeline=cse,\n// kinstr: pipeline=canonicalize\n";
        let found = directives(path, text).unwrap();
        assert_eq!(found.entry.as_deref(), Some("f"));
        assert_eq!(found.pipeline.as_deref(), Some("cse,canonicalize"));
        assert!(matches!(
            directives(path, "\n// kinstr: spped=3"),
            Err(FrontendError::Directive { line: 2, .. })
        ));
    }
}

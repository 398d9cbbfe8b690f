//! What can go wrong with a reference.
use crate::tensor::FillError;
use crate::worker::{Death, Refusal, WorkerError};
use kinstr_runtime::arena::ArenaError;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use serde_json::Value;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Why a reference gave no expected outputs.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum ReferenceError {
    /// No Python to run it.
    #[error("no Python interpreter: {reason}")]
    #[diagnostic(
        code(kinstr::reference::no_interpreter),
        help("run scripts/setup, or set KINSTR_PYTHON to a Python that has NumPy")
    )]
    NoInterpreter {
        /// What was tried.
        reason: String,
    },
    /// The host's files could not be unpacked.
    #[error("cannot unpack the Python host to {}", path.display())]
    #[diagnostic(code(kinstr::reference::unpack), help("XDG_CACHE_HOME chooses another place"))]
    Unpack {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The process could not be started.
    #[error("cannot start the reference's process")]
    #[diagnostic(code(kinstr::reference::start), help("`kinstr doctor` says what this machine lacks"))]
    Start(#[source] WorkerError),
    /// No memory for the tensors.
    #[error(transparent)]
    #[diagnostic(code(kinstr::reference::memory))]
    Memory(#[from] ArenaError),
    /// The process stopped answering.
    #[error("the reference {} gave no answer: {death}", path.display())]
    #[diagnostic(code(kinstr::reference::died), help("{printed}"))]
    Died {
        /// The file.
        path: PathBuf,
        /// How.
        death: Death,
        /// The last of what it printed on standard error.
        printed: String,
    },
    /// The host says what is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Refused(#[from] Box<Refused>),
    /// The host's reply is not what this version of kinstr expects.
    #[error("the Python host gave a reply that does not fit its request: {0}")]
    #[diagnostic(code(kinstr::reference::protocol))]
    Protocol(String),
    /// An input could not be made.
    #[error(transparent)]
    #[diagnostic(code(kinstr::reference::input))]
    Input(#[from] FillError),
    /// Only Python references run in the Python host.
    #[error("{} is no Python reference; it has to be compiled", path.display())]
    #[diagnostic(code(kinstr::reference::not_python))]
    NotPython {
        /// The file.
        path: PathBuf,
    },
    /// The problem has fewer workloads.
    #[error("the problem has no workload {0}")]
    #[diagnostic(code(kinstr::reference::no_such_workload))]
    NoSuchWorkload(usize),
    /// An output still holds what it held before the run.
    #[error("the reference {} leaves elements of output `{output}` unwritten", path.display())]
    #[diagnostic(
        code(kinstr::reference::unwritten),
        help("every element of an output has to be written; is its type the problem's?")
    )]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// The output.
        output: String,
    },
    /// A compiled reference failed.
    #[error("the reference {} failed: {message}", path.display())]
    #[diagnostic(code(kinstr::reference::native))]
    Native {
        /// The file.
        path: PathBuf,
        /// How.
        message: String,
    },
    /// There is no variant of it that `torch.compile` made.
    #[error("torch.compile has nothing to offer: {reason}")]
    #[diagnostic(code(kinstr::reference::not_compiled))]
    NotCompiled {
        /// Why.
        reason: String,
    },
    /// The machine failed a compiled reference.
    #[error("the reference {} was interrupted: {message}", path.display())]
    #[diagnostic(code(kinstr::reference::interrupted), help("is the machine out of memory?"))]
    Interrupted {
        /// The file.
        path: PathBuf,
        /// How.
        message: String,
    },
}

impl ReferenceError {
    /// Whether the machine is to blame and not the reference: exit code 3, not 2.
    pub fn is_infrastructure(&self) -> bool {
        match self {
            Self::NoInterpreter { .. } | Self::Unpack { .. } | Self::Start(_) | Self::Memory(_) => true,
            Self::Died { .. } | Self::Interrupted { .. } => self.is_passing(),
            Self::Refused(refused) => refused.kind == MISSING_MODULE,
            _ => false,
        }
    }

    /// Whether the same may go well another time: the system refused something, or killed the process.
    pub fn is_passing(&self) -> bool {
        const KILLED: i32 = 9;
        match self {
            Self::Start(_) | Self::Memory(_) | Self::Interrupted { .. } => true,
            Self::Died { death, .. } => {
                matches!(death, Death::System(_) | Death::Gone | Death::Signalled { signal: KILLED })
            }
            _ => false,
        }
    }

    /// Whether kinstr itself is to blame: exit code 70.
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::Protocol(_) | Self::NotPython { .. } | Self::NoSuchWorkload(_))
    }
}

/// The kind of a refusal over a Python module that is not installed.
const MISSING_MODULE: &str = "missing-module";

/// The host's own account: the reference raised, or returned what the problem does not say.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Stable name: `raised`, `wrong-shape`, `wrong-dtype`, `wrong-count`, `not-a-tensor`, `no-function`,
    /// `changes-input`, `missing-module`, `unreadable`, `unsupported`, `not-a-module`, `not-kernelbench`.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where in the user's file, if at a line of it.
    pub place: Option<Place>,
}

/// A line of the user's file.
#[derive(Debug)]
pub struct Place {
    /// The file and its text.
    pub source_text: NamedSource<String>,
    /// The line, counted from 1.
    pub line: usize,
    /// Its bytes in the text, without the indentation.
    pub span: Range<usize>,
}

impl Refused {
    /// Reads the file that the refusal is about, to show the line.
    pub(super) fn from_refusal(refusal: Refusal) -> Self {
        let place = || {
            let file = refusal.details.get("file").and_then(Value::as_str)?;
            let line = usize::try_from(refusal.details.get("line")?.as_u64()?).ok()?;
            let text = std::fs::read_to_string(file).ok()?;
            let span = line_span(&text, line)?;
            Some(Place { source_text: NamedSource::new(file, text).with_language("python"), line, span })
        };
        Refused { place: place(), kind: refusal.kind, message: refusal.message, help: refusal.hint }
    }
}

/// The bytes of a line, counted from 1, without indentation and line end.
fn line_span(text: &str, line: usize) -> Option<Range<usize>> {
    let found = text.split_inclusive('\n').nth(line.checked_sub(1)?)?;
    let start = found.as_ptr() as usize - text.as_ptr() as usize;
    let indented = found.len() - found.trim_start().len();
    Some(start + indented..start + found.trim_end().len().max(indented))
}

impl Diagnostic for Refused {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(format!("kinstr::reference::{}", self.kind.replace('-', "_"))))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|place| &place.source_text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::underline(place.span.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_did_may_pass() {
        let died = |death| ReferenceError::Died { path: "r.py".into(), death, printed: String::new() };
        for death in [Death::Gone, Death::Signalled { signal: 9 }, Death::System(io::ErrorKind::Other.into())]
        {
            let error = died(death);
            assert!(error.is_passing() && error.is_infrastructure(), "{error}");
        }
        for death in [Death::Exited { code: 1 }, Death::Signalled { signal: 11 }] {
            let error = died(death);
            assert!(!error.is_passing() && !error.is_infrastructure(), "{error}");
        }
    }

    #[test]
    fn a_line_is_shown_without_its_indentation() {
        let text = "def run(x):\n    return x\n\n";
        assert_eq!(line_span(text, 2).map(|span| &text[span]), Some("return x"));
        assert_eq!(line_span(text, 3).map(|span| &text[span]), Some(""));
        assert_eq!(line_span(text, 9), None);
        assert_eq!(line_span(text, 0), None);
    }
}

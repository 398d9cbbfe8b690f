//! What can be wrong with a problem file.
use crate::reference::ReferenceError;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use std::ops::Range;
use std::path::PathBuf;

/// Why a problem could not be loaded. Every one is the problem's fault, so the exit code is 2, except
/// [`ProblemError::Reference`], which knows for itself.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum ProblemError {
    /// The file, or one it names, cannot be read.
    #[error("cannot read {}", path.display())]
    #[diagnostic(code(kinstr::problem::unreadable), help("check the path and its permissions"))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file's ending is none that problems have.
    #[error("{} is not a problem kinstr can load: {reason}", path.display())]
    #[diagnostic(
        code(kinstr::problem::unsupported_format),
        help(
            "a problem is a .toml file, a KernelBench .py file with Model, get_inputs and get_init_inputs, or a \
             FlashInfer-Bench definition in .json"
        )
    )]
    UnsupportedFormat {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// A FlashInfer-Bench definition, or its workloads, cannot be taken.
    #[error("{}: {reason}", path.display())]
    #[diagnostic(
        code(kinstr::problem::definition),
        help(
            "a definition is JSON, its workloads are JSON lines in a .jsonl file of its name beside it, or in `workloads`"
        )
    )]
    Definition {
        /// The file that says so.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something at a place in the file is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Flawed(#[from] Box<PlacedFlaw>),
    /// The reference of a KernelBench problem could not say what it takes and gives.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Reference(#[from] Box<ReferenceError>),
}

/// One kind of mistake in a problem file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Flaw {
    /// Not TOML.
    #[error("malformed TOML: {0}")]
    Syntax(String),
    /// A key that means nothing there.
    #[error("unknown key `{key}` in {within}")]
    UnknownKey {
        /// The key.
        key: String,
        /// What it stands in.
        within: String,
    },
    /// A key that has to be there.
    #[error("{within} has no `{key}`")]
    MissingKey {
        /// The key.
        key: String,
        /// Where it belongs.
        within: String,
    },
    /// A value of another type than its key wants.
    #[error("{what} has to be {expected}, not {found}")]
    WrongType {
        /// What holds the value.
        what: String,
        /// The type it wants.
        expected: &'static str,
        /// The type it got.
        found: &'static str,
    },
    /// A value outside its range.
    #[error("{what}: {reason}")]
    BadValue {
        /// What holds the value.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An axis no one declared.
    #[error("unknown axis `{0}`")]
    UnknownAxis(String),
    /// A name that is no element type.
    #[error("unknown dtype `{0}`")]
    UnknownDtype(String),
    /// A name that is no kind of initialiser.
    #[error("unknown init kind `{0}`")]
    UnknownInit(String),
    /// Integer inputs say for themselves what they hold.
    #[error("input `{0}` has an integer dtype and no `init`")]
    MissingInit(String),
    /// Nothing to compute on.
    #[error("the problem has no workloads")]
    NoWorkloads,
    /// Nothing to compare.
    #[error("the problem has no outputs")]
    NoOutputs,
    /// An input and an output, two axes or two workloads of one name.
    #[error("the name `{0}` is used twice")]
    DuplicateName(String),
    /// The file of the reference is not there, or not readable.
    #[error("the reference `{path}` cannot be read: {reason}")]
    MissingReference {
        /// As written.
        path: String,
        /// The system's words.
        reason: String,
    },
}

impl Flaw {
    fn code(&self) -> &'static str {
        match self {
            Flaw::Syntax(_) => "kinstr::problem::syntax",
            Flaw::UnknownKey { .. } => "kinstr::problem::unknown_key",
            Flaw::MissingKey { .. } => "kinstr::problem::missing_key",
            Flaw::WrongType { .. } => "kinstr::problem::wrong_type",
            Flaw::BadValue { .. } => "kinstr::problem::bad_value",
            Flaw::UnknownAxis(_) => "kinstr::problem::unknown_axis",
            Flaw::UnknownDtype(_) => "kinstr::problem::unknown_dtype",
            Flaw::UnknownInit(_) => "kinstr::problem::unknown_init",
            Flaw::MissingInit(_) => "kinstr::problem::missing_init",
            Flaw::NoWorkloads => "kinstr::problem::no_workloads",
            Flaw::NoOutputs => "kinstr::problem::no_outputs",
            Flaw::DuplicateName(_) => "kinstr::problem::duplicate_name",
            Flaw::MissingReference { .. } => "kinstr::problem::missing_reference",
        }
    }
}

/// A [`Flaw`] with its place and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{flaw}")]
pub struct PlacedFlaw {
    /// What is wrong.
    pub flaw: Flaw,
    /// The file and its text.
    pub source_text: NamedSource<String>,
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What to do.
    pub help: Option<String>,
}

impl PlacedFlaw {
    /// The line of the place, counted from 1.
    pub fn line(&self) -> usize {
        let before = self.source_text.inner().get(..self.span.start).unwrap_or_default();
        before.matches('\n').count() + 1
    }
}

impl Diagnostic for PlacedFlaw {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(self.flaw.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source_text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::underline(self.span.clone()))))
    }
}

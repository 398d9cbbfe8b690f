//! Front ends: candidates as files, and what becomes of them. One file a language.
//!
//! MLIR becomes a module on which structured probes work ([`mlir`]); LLVM IR and C become an LLVM module
//! ([`llvm_ir`], [`c`]). From optimised LLVM IR on there is no difference any more.

pub mod c;
mod clang;
mod complain;
pub mod directives;
pub mod llvm_ir;
pub mod mlir;
pub mod signature;
pub mod solution;
pub mod triton;

use crate::complaint::Complaint;
use directives::{DirectiveError, Directives};
use kinstr_passes::{context::Message, transforms::TransformError};
use serde::{Deserialize, Serialize};
use solution::Solution;
use std::path::{Path, PathBuf};

/// Suffix of FlashInfer-Bench Solutions.
const SOLUTION: &str = "json";

/// What a candidate is written in, by its file's suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// `.mlir`, and standard input.
    Mlir,
    /// `.ll`.
    LlvmIr,
    /// `.c`.
    C,
    /// `.cpp`, `.cc`.
    Cpp,
    /// `.py`, or `.json` with Python in it; it is run and not compiled.
    Python,
    /// What such a candidate launched with Triton ([`triton::launches::Replay`]); no file is in it.
    Launches,
}

impl Language {
    /// Every suffix that is taken, with its language.
    pub const SUFFIXES: [(&str, Self); 7] = [
        ("mlir", Self::Mlir),
        ("ll", Self::LlvmIr),
        ("c", Self::C),
        ("cpp", Self::Cpp),
        ("cc", Self::Cpp),
        ("py", Self::Python),
        (SOLUTION, Self::Python),
    ];

    fn of(path: &Path) -> Option<Self> {
        let suffix = path.extension()?.to_str()?;
        Self::SUFFIXES.iter().find(|(known, _)| *known == suffix).map(|(_, language)| *language)
    }

    /// Whether a compiler of its own turns it into LLVM IR.
    pub fn has_compiler(self) -> bool {
        matches!(self, Self::C | Self::Cpp)
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlir => "MLIR",
            Self::LlvmIr => "LLVM IR",
            Self::C => "C",
            Self::Cpp => "C++",
            Self::Python => "Python",
            Self::Launches => "Triton launches",
        }
    }
}

/// A candidate's text, read once.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path as the user gave it; locations in reports name it.
    pub path: PathBuf,
    /// The text.
    pub text: String,
    /// What it is written in.
    pub language: Language,
    /// Its directives.
    pub directives: Directives,
    /// What the text says, if it is a FlashInfer-Bench Solution.
    pub solution: Option<Solution>,
    /// What the compiler made of it, once it was asked.
    compiled: c::Compiled,
}

/// Why a candidate could not be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum FrontendError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    /// No front end for this kind of file.
    #[error("{} is no candidate this version can read", path.display())]
    Kind { path: PathBuf },
    /// It is run as it is.
    #[error("{} is Python, which kinstr runs and does not compile", path.display())]
    NotCompiled { path: PathBuf },
    /// A `kinstr:` line that says nothing known.
    #[error("{}:{line}: {error}", path.display())]
    Directive { path: PathBuf, line: usize, error: DirectiveError },
    /// It does not parse or verify.
    #[error("{} is not valid {}", path.display(), language.name())]
    Parse { path: PathBuf, language: Language, messages: Vec<Message> },
    /// The compiler refuses it.
    #[error("{} does not compile", path.display())]
    Compile { path: PathBuf, messages: Vec<Message> },
    /// The compiler ran into a limit or crashed.
    #[error("compiling {} {reason}", path.display())]
    Compiler { path: PathBuf, reason: String },
    /// It includes a file of its own, which no digest knows.
    #[error("{} includes {}: a candidate is one file", path.display(), included.join(", "))]
    Includes { path: PathBuf, included: Vec<String> },
    /// It is no FlashInfer-Bench Solution, or none for this problem.
    #[error("{} is no solution that can be taken: {reason}", path.display())]
    Solution { path: PathBuf, reason: String },
    /// The sources of a solution have no place.
    #[error("the sources of {} cannot be unpacked: {error}", path.display())]
    Unpack { path: PathBuf, error: std::io::Error },
    /// It was made for another machine.
    #[error("{} is LLVM IR for {theirs}, and this machine is {ours}", path.display())]
    OtherMachine { path: PathBuf, theirs: String, ours: String },
    /// There is no entry, or no single one.
    #[error(transparent)]
    Entry(#[from] TransformError),
    /// No C compiler on this machine.
    #[error("there is no clang-22: looked for {}", looked_for.join(", "))]
    NoCompiler { looked_for: Vec<String> },
    /// The machine refused what running the compiler takes.
    #[error("cannot run the compiler: {0}")]
    System(std::io::Error),
}

impl FrontendError {
    /// Whether the machine is to blame, and not the candidate.
    pub fn is_infrastructure(&self) -> bool {
        matches!(self, Self::NoCompiler { .. } | Self::System(_) | Self::Unpack { .. })
    }
}

impl Source {
    /// Reads `path`; `-` is MLIR on standard input.
    ///
    /// # Errors
    /// [`FrontendError::Read`], `Kind` for a suffix that no front end takes, `Directive`, `Solution`.
    pub fn read(path: &Path) -> Result<Self, FrontendError> {
        let failed = |error| FrontendError::Read { path: path.into(), error };
        if path == Path::new("-") {
            let text = std::io::read_to_string(std::io::stdin()).map_err(failed)?;
            return Self::new(path, text, Language::Mlir);
        }
        let Some(language) = Language::of(path) else {
            // What is not there at all is said first.
            std::fs::metadata(path).map_err(failed)?;
            return Err(FrontendError::Kind { path: path.into() });
        };
        let mut source = Self::new(path, std::fs::read_to_string(path).map_err(failed)?, language)?;
        if path.extension().is_some_and(|suffix| suffix == SOLUTION) {
            source.solution = Some(Solution::read(path, &source.text)?);
        }
        Ok(source)
    }

    /// A candidate from its text.
    ///
    /// # Errors
    /// [`FrontendError::Directive`].
    pub fn new(path: &Path, text: String, language: Language) -> Result<Self, FrontendError> {
        let directives = directives::read(&text, language)
            .map_err(|(line, error)| FrontendError::Directive { path: path.into(), line, error })?;
        let compiled = c::Compiled::default();
        Ok(Self { path: path.into(), text, language, directives, solution: None, compiled })
    }

    /// Candidates in C are called by the name of their problem unless they say otherwise; MLIR has one public
    /// function. What cannot stand in a C name becomes `_`.
    pub fn entry_is_named_after(&mut self, problem: &str) {
        if self.language == Language::Mlir || self.directives.entry.is_some() {
            return;
        }
        let mut name = problem.replace(|character: char| !character.is_ascii_alphanumeric(), "_");
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            name.insert(0, '_');
        }
        self.directives.entry = Some(name);
    }

    /// What the compiler made of it earlier, so that it is not run again.
    pub fn is_compiled_to(&self, markers: c::Markers, bitcode: Vec<u8>) {
        self.compiled.know(markers, bitcode);
    }

    /// Whether it may hold markers of regions, so that it is compiled once more with them.
    pub fn may_hold_markers(&self) -> bool {
        self.language.has_compiler() && self.text.contains("kinstr.h")
    }

    /// `complaint` with its places in this source shown.
    pub fn show(&self, complaint: Complaint) -> Complaint {
        match &self.solution {
            Some(solution) => solution.show(complaint),
            None => complaint.shown_in(&self.path.to_string_lossy(), &self.text),
        }
    }

    /// What the candidate is called: by a solution itself, or by its file.
    pub fn name(&self) -> String {
        match &self.solution {
            Some(solution) => solution.name.clone(),
            None => self.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        }
    }

    /// The file's name without its folder.
    pub fn file_name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

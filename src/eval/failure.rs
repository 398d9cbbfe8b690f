//! How stages and whole evaluations fail.

use crate::{
    builds::BuildError,
    complaint::Complaint,
    correctness::SizeError,
    frontend::{FrontendError, Source},
    jobs::{event::Failure, log::LogError},
    problem::ProblemError,
    reference::ReferenceError,
    store::StoreError,
    worker::fault::{self, CandidateFault, InfrastructureFault},
};
use kinstr_runtime::arena::ArenaError;
use kinstr_trace::report::Fault;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each wraps the error of a module that documents it")]
pub enum EvalError {
    #[error(transparent)]
    Problem(#[from] Box<ProblemError>),
    #[error(transparent)]
    Candidate(#[from] FrontendError),
    #[error(transparent)]
    Reference(#[from] Box<ReferenceError>),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process evaluates into the same directory.
    #[error("another evaluation is writing into {}", dir.display())]
    Busy { dir: std::path::PathBuf },
    /// No such target.
    #[error("there is no target `{name}`")]
    Target { name: String },
    /// The device that the target names is not there, or not usable.
    #[error(transparent)]
    Device(#[from] kinstr_runtime::gpu::DeviceFault),
    /// The tensors of a workload do not fit this machine's memory.
    #[error(
        "with workload {workload} the tensors need {:.1} GiB, and this machine has {:.1} GiB of memory",
        gib(*.needed),
        gib(*.available)
    )]
    TooLarge { workload: String, needed: u64, available: u64 },
    /// The reference, which is MLIR, does not build or run.
    #[error("the reference fails: {0}")]
    NativeReference(String),
    /// A stage failed through no fault of the candidate's.
    #[error("{0}")]
    Stage(Box<StageFailure>),
}

/// One failed attempt at a stage.
#[derive(Debug)]
pub struct StageFailure {
    /// For the event stream.
    pub failure: Failure,
    /// For people.
    pub complaint: Complaint,
}

impl StageFailure {
    /// The same with the lines of `source` that it is about.
    pub fn shown_in(self, source: &Source) -> Self {
        Self { complaint: source.show(self.complaint), ..self }
    }
}

impl std::fmt::Display for StageFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.failure.message)
    }
}

/// What a stage's body returns instead of its result: the candidate or the machine failed, or there is nothing to
/// report on.
#[derive(Debug)]
pub enum Stop {
    /// The attempt failed.
    Failed(Box<StageFailure>),
    /// The evaluation cannot be done.
    Fatal(EvalError),
}

impl From<LogError> for EvalError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Store(error) => Self::Store(error),
            LogError::Busy { dir } => Self::Busy { dir },
        }
    }
}

impl From<EvalError> for Stop {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::Reference(error) => (*error).into(),
            error => Self::Fatal(error),
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Fatal(error.into())
    }
}

impl From<ReferenceError> for Stop {
    fn from(error: ReferenceError) -> Self {
        if error.is_passing() {
            let hint = "is the machine out of memory, or does something else end processes on it?";
            let complaint = Complaint::new("infrastructure::reference", error.to_string()).help(hint);
            return Self::failed(Fault::Infrastructure, "reference", complaint, Some(hint));
        }
        Self::Fatal(EvalError::Reference(Box::new(error)))
    }
}

impl From<ArenaError> for Stop {
    fn from(error: ArenaError) -> Self {
        fault::Fault::from(InfrastructureFault::Arena(error)).into()
    }
}

impl From<fault::Fault> for Stop {
    fn from(fault: fault::Fault) -> Self {
        let subject = if fault.blame() == Fault::Candidate { "the candidate " } else { "" };
        let message = format!("{subject}{fault}");
        let code = format!("{}::{}", blame_name(fault.blame()), fault.kind());
        let mut complaint = Complaint::new(&code, message).help(fault.hint());
        if let fault::Fault::Candidate(CandidateFault::Python(objection)) = &fault {
            complaint =
                objection.place.iter().fold(complaint, |complaint, place| complaint.at(place, "here"));
        }
        Self::failed(fault.blame(), fault.kind(), complaint, Some(fault.hint()))
    }
}

impl From<BuildError> for Stop {
    fn from(error: BuildError) -> Self {
        let (blame, complaint) = (error.fault(), Complaint::from(&error));
        let hint = complaint.help_text().map(str::to_owned);
        Self::failed(blame, "does-not-build", complaint, hint.as_deref())
    }
}

impl From<SizeError> for Stop {
    fn from(error: SizeError) -> Self {
        let complaint = Complaint::new("internal::size", error.to_string());
        Self::failed(Fault::Internal, "size", complaint, None)
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1_u64 << 30) as f64
}

fn blame_name(blame: Fault) -> &'static str {
    match blame {
        Fault::Candidate => "candidate",
        Fault::Infrastructure => "infrastructure",
        Fault::Internal => "internal",
    }
}

impl Stop {
    /// A failed attempt.
    pub fn failed(fault: Fault, kind: &str, complaint: Complaint, hint: Option<&str>) -> Self {
        let failure = Failure {
            fault,
            kind: kind.to_owned(),
            message: complaint.summary(),
            hint: hint.map(str::to_owned),
        };
        Self::Failed(Box::new(StageFailure { failure, complaint }))
    }
}

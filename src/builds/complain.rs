//! What a person is told when a candidate has no build.

use super::BuildError;
use crate::complaint::Complaint;

impl From<&BuildError> for Complaint {
    fn from(error: &BuildError) -> Self {
        match error {
            BuildError::Frontend(error) => error.into(),
            BuildError::Lower(error) => error.into(),
            BuildError::Codegen(error) => error.into(),
            BuildError::Triton(error) => error.into(),
            BuildError::Dialect(error) => Self::new("internal::dialect", error.to_string()),
            BuildError::Refused(refusal) => refusal.complaint.clone(),
            BuildError::Store(error) => Self::new("store", error.to_string())
                .help("is the disk full? XDG_CACHE_HOME moves the cache elsewhere"),
            BuildError::Target { .. } => Self::new("candidate::target", error.to_string()),
            BuildError::Damaged { dir, .. } => {
                Self::new("store::damaged", error.to_string()).help(format!("remove {}", dir.display()))
            }
        }
    }
}

impl BuildError {
    /// Whose fault it is: the candidate's unless the machine or kinstr failed.
    pub fn fault(&self) -> kinstr_trace::report::Fault {
        use crate::{codegen::CodegenError, lower::LowerError};
        use kinstr_trace::report::Fault;
        match self {
            Self::Refused(refusal) => refusal.fault,
            Self::Triton(error) => error.fault(),
            Self::Store(_) | Self::Damaged { .. } => Fault::Infrastructure,
            Self::Frontend(error) if error.is_infrastructure() => Fault::Infrastructure,
            Self::Codegen(
                CodegenError::NoLinker { .. }
                | CodegenError::NoLibdevice { .. }
                | CodegenError::Write { .. }
                | CodegenError::Target { .. },
            ) => Fault::Infrastructure,
            Self::Dialect(_) | Self::Lower(LowerError::Conversion(_) | LowerError::Translate { .. }) => {
                Fault::Internal
            }
            Self::Codegen(CodegenError::Invalid { .. } | CodegenError::Passes { .. }) => Fault::Internal,
            Self::Frontend(_) | Self::Lower(_) | Self::Codegen(_) | Self::Target { .. } => Fault::Candidate,
        }
    }
}

//! Triton kernels in a Python file: compiled by Triton itself, up to the LLVM IR that probes go into.

mod compiler;
mod directive;
pub mod launches;
mod stages;
mod text;

pub use compiler::Compiler;
pub use directive::{KernelError, KernelSpec};
pub use stages::{Finished, Stages, Unfinished};
pub use text::as_triton_reads_it;

use crate::{
    complaint::Complaint,
    reference::ReferenceError,
    worker::{Death, Objection, WorkerError},
};
use inkwell::{context::Context, memory_buffer::MemoryBuffer, module::Module};
use kinstr_trace::report::Fault;
use std::path::PathBuf;

/// Parses the LLVM IR that Triton made of `kernel`.
///
/// # Errors
/// [`TritonError::Code`].
pub fn parse<'l>(kernel: &str, llvm_ir: &str, llvm: &'l Context) -> Result<Module<'l>, TritonError> {
    let buffer = MemoryBuffer::create_from_memory_range_copy(llvm_ir.as_bytes(), kernel);
    llvm.create_module_from_ir(buffer)
        .map_err(|reason| TritonError::Code { kernel: kernel.to_owned(), reason: reason.to_string() })
}

/// Why a file's Triton kernels could not be compiled.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum TritonError {
    /// It says of no kernel what it is to be compiled for.
    #[error("{} does not say which Triton kernels to compile", path.display())]
    NoKernels { path: PathBuf },
    /// There is no Python, or its package cannot be unpacked.
    #[error(transparent)]
    Python(#[from] ReferenceError),
    /// The process could not be started.
    #[error("cannot start the process that compiles Triton kernels")]
    Start(#[source] WorkerError),
    /// It stopped answering.
    #[error("the process that compiles {} gave no answer: {death}", path.display())]
    Died { path: PathBuf, death: Death, printed: String },
    /// The file or one of its kernels is refused.
    #[error("{}: the candidate {objection}", path.display())]
    Refused { path: PathBuf, objection: Objection },
    /// Its reply is not what this version of kinstr expects.
    #[error("the process that compiles Triton kernels gave a reply that does not fit its request: {0}")]
    Protocol(String),
    /// What was written down of its launches is not what a host of kinstr's writes.
    #[error("the launches that were noted cannot be read: {0}")]
    Launches(String),
    /// Triton does not take LLVM IR with probes in it.
    #[error("Triton's own stages do not make PTX of the instrumented LLVM IR: {0}")]
    Stages(String),
    /// What Triton made is no LLVM IR that this version reads.
    #[error("the LLVM IR that Triton made of `{kernel}` is not valid: {reason}")]
    Code { kernel: String, reason: String },
}

impl TritonError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoKernels { .. } => Fault::Candidate,
            Self::Refused { objection, .. } if objection.kind == "missing-module" => Fault::Infrastructure,
            Self::Refused { .. } | Self::Died { .. } | Self::Launches(_) => Fault::Candidate,
            Self::Python(_) | Self::Start(_) => Fault::Infrastructure,
            Self::Protocol(_) | Self::Code { .. } | Self::Stages(_) => Fault::Internal,
        }
    }
}

impl From<&TritonError> for Complaint {
    fn from(error: &TritonError) -> Self {
        let text = error.to_string();
        match error {
            TritonError::NoKernels { .. } => Self::new("triton::no-kernels", text).help(
                "a line `# kinstr: kernel=NAME(*fp32:16, i32, 1024) warps=4 stages=3` says it of one: types as Triton writes \
                 them, `:16` for what 16 divides, and constants",
            ),
            TritonError::Python(error) => {
                Self::new("triton::python", error.to_string()).help("run scripts/setup --gpu")
            }
            TritonError::Start(_) => {
                Self::new("triton::start", text).help("`kinstr doctor` says what this machine lacks")
            }
            TritonError::Died { printed, .. } if printed.is_empty() => {
                Self::new("triton::died", text).help("does the file do more on import than define kernels?")
            }
            TritonError::Died { printed, .. } => {
                Self::new("triton::died", text).help(format!("it printed: {printed}"))
            }
            TritonError::Refused { objection, .. } => {
                let complaint = Self::new(&format!("triton::{}", objection.kind), text);
                let complaint = match &objection.place {
                    Some(place) => complaint.at(place, "here"),
                    None => complaint,
                };
                match &objection.hint {
                    Some(hint) => complaint.help(hint),
                    None => complaint,
                }
            }
            TritonError::Launches(_) => {
                Self::new("triton::launches", text).help("does the candidate write to its working directory?")
            }
            TritonError::Protocol(_) | TritonError::Stages(_) => Self::new("internal::triton", text),
            TritonError::Code { .. } => Self::new("internal::triton", text)
                .help(format!("kinstr reads the LLVM IR of LLVM {}", crate::codegen::llvm_version())),
        }
    }
}

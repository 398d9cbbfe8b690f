//! What a person is told when lowering or code generation fails.

use super::LowerError;
use crate::{codegen::CodegenError, complaint::Complaint};
use kinstr_passes::pipeline::PipelineError;

impl From<&LowerError> for Complaint {
    fn from(error: &LowerError) -> Self {
        let text = error.to_string();
        match error {
            LowerError::Pipeline(PipelineError::Parse { .. }) => {
                Self::new("pipeline::parse", text).help("pass names are those of `mlir-opt-22 --help`")
            }
            LowerError::Pipeline(PipelineError::Run { messages, .. }) => {
                Self::new("pipeline::run", text).messages(messages)
            }
            LowerError::Transform(_) => Self::new("candidate::entry", text),
            LowerError::Probe(_) | LowerError::NothingToTime { .. } => {
                Self::new("probe", text).help("`kinstr list probes` says where each probe goes in; late probes show with `--emit llvm-dialect`, `llvm-ir` or `asm`")
            }
            LowerError::Conversion(_) => Self::new("probe::conversion", text),
            LowerError::Left { place, .. } => {
                let complaint = Self::new("candidate::not-lowered", text)
                    .help("give the candidate a pipeline (`// kinstr: pipeline=...`) or a transform schedule that lowers them");
                match place {
                    Some(place) => complaint.at(place, "first of them"),
                    None => complaint,
                }
            }
            LowerError::NoKernel => Self::new("candidate::no-kernel", text),
            LowerError::OnHost { place, .. } => {
                let complaint = Self::new("candidate::on-host", text).help("do it in a kernel: gpu.launch");
                match place {
                    Some(place) => complaint.at(place, "here"),
                    None => complaint,
                }
            }
            LowerError::Refused { place, .. } => {
                let complaint = Self::new("candidate::refused", text);
                match place {
                    Some(place) => complaint.at(place, "here"),
                    None => complaint,
                }
            }
            LowerError::Translate { messages } => Self::new("translate", text).messages(messages),
            LowerError::Import { messages } => Self::new("import", text).messages(messages),
        }
    }
}

impl From<&CodegenError> for Complaint {
    fn from(error: &CodegenError) -> Self {
        let text = error.to_string();
        match error {
            CodegenError::NoLinker { .. } => {
                Self::new("codegen::linker", text).help("run scripts/setup, or install lld")
            }
            CodegenError::Link { reason } if reason.contains("libomp") => {
                Self::new("codegen::link", text).help("OpenMP needs libomp: run scripts/setup")
            }
            CodegenError::Link { reason } if reason.contains("libmlir_async_runtime") => {
                Self::new("codegen::link", text)
                    .help("async ops need MLIR's async runtime: install libmlir-22")
            }
            CodegenError::NoLibdevice { .. } => Self::new("codegen::libdevice", text)
                .help("run scripts/setup --gpu, or point KINSTR_LIBDEVICE at libdevice.10.bc"),
            CodegenError::Ptxas { .. } => Self::new("codegen::ptxas", text),
            CodegenError::Link { .. } => Self::new("codegen::link", text).help(
                "a candidate may call libm and libc; any other external function must be in its module",
            ),
            _ => Self::new("codegen", text),
        }
    }
}

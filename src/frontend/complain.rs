//! What a person is told when a candidate cannot be read.

use super::{FrontendError, Language, c, directives::DirectiveError};
use crate::complaint::Complaint;
use kinstr_passes::context::Message;

impl From<&FrontendError> for Complaint {
    fn from(error: &FrontendError) -> Self {
        let text = error.to_string();
        match error {
            FrontendError::Read { .. } => {
                Self::new("candidate::read", text).help("check the path and its permissions")
            }
            FrontendError::Kind { .. } => Self::new("candidate::kind", text).help(
                "candidates are MLIR files (`.mlir`): linalg, scf, affine, vector, memref, math; LLVM IR (`.ll`); C and C++ (`.c`, `.cpp`, `.cc`); Python with a class `ModelNew` or a function `run` (`.py`); FlashInfer-Bench Solutions (`.json`)",
            ),
            FrontendError::NotCompiled { .. } => Self::new("candidate::python", text)
                .help("`kinstr eval` runs it; `kinstr opt --target cuda:sm_90` compiles its Triton kernels"),
            FrontendError::Directive { error, .. } => {
                Self::new("candidate::directive", text).help(directive_help(error))
            }
            FrontendError::Parse { messages, language: Language::LlvmIr, .. } => {
                Self::new("candidate::llvm-ir", text).messages(messages).help(format!(
                    "kinstr reads the LLVM IR of LLVM {}: text of another version may differ",
                    crate::codegen::llvm_version()
                ))
            }
            FrontendError::Parse { messages, .. } => {
                Self::new("candidate::mlir", text).messages(messages).help(mlir_help(messages))
            }
            FrontendError::Compile { messages, .. } => {
                Self::new("candidate::compile", text).messages(messages)
            }
            FrontendError::Compiler { .. } => {
                Self::new("candidate::compile", text).help("make it smaller, or do less at compile time")
            }
            FrontendError::Includes { .. } => Self::new("candidate::includes", text)
                .help("write its text into the candidate; headers of the system may be included"),
            FrontendError::Solution { .. } => Self::new("candidate::solution", text).help(
                "a FlashInfer-Bench Solution has a name, the definition it solves, a spec with language and entry point, and sources",
            ),
            FrontendError::Unpack { .. } => Self::new("candidate::unpack", text)
                .help("is the disk full? XDG_CACHE_HOME chooses another place"),
            FrontendError::OtherMachine { .. } => Self::new("candidate::machine", text)
                .help("compile it for this machine, or leave `target triple` and `target datalayout` out"),
            FrontendError::Entry(_) => Self::new("candidate::entry", text)
                .help("a line `kinstr: entry=NAME` in a comment names the entry, if it is not called like the problem"),
            FrontendError::NoCompiler { .. } => Self::new("compiler", text).help("run scripts/setup"),
            FrontendError::System(_) => {
                Self::new("compiler", text).help("is the disk full? TMPDIR moves temporary files elsewhere")
            }
        }
    }
}

fn directive_help(error: &DirectiveError) -> String {
    match error {
        DirectiveError::Flag { .. } => {
            format!("allowed flags: {}, {}VALUE", c::FLAGS.join(", "), c::FLAGS_WITH_VALUE.join("VALUE, "))
        }
        DirectiveError::Kernel(_) => {
            "types are Triton's (`*fp32:16` for a pointer that 16 divides, `i32`), constants numbers, \
                                      strings, True, False or None"
                .into()
        }
        _ => "known directives: `// kinstr: entry=NAME`, `// kinstr: pipeline=PASSES` (MLIR), \
              `// kinstr: flags=FLAGS` (C, C++), `// kinstr: threads=N`, \
              `# kinstr: kernel=NAME(ARGUMENTS)` (Python)"
            .into(),
    }
}

fn mlir_help(messages: &[Message]) -> &'static str {
    let unknown = |message: &Message| {
        message.text.contains("unregistered dialect") || message.text.contains("not registered")
    };
    match messages.iter().any(unknown) {
        true => "kinstr knows the dialects of upstream MLIR 22: lower others before handing the module over",
        false => "`kinstr opt FILE` parses and verifies a module without running it",
    }
}

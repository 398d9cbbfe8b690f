//! A candidate's entry as its author wrote it.

use super::{FrontendError, Language, Source, c, llvm_ir, mlir};
use crate::{codegen::machine::Machine, lower::Mlir};
use kinstr_passes::{
    ffi::{self, Described},
    transforms::{
        adapt_entry::{self, signature_of},
        wrap_pointers,
    },
};
use serde::{Deserialize, Serialize};

/// An entry as written: types of MLIR, or of C.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Written {
    /// `func.func`.
    Mlir(adapt_entry::Signature),
    /// A function over pointers and numbers.
    C(CSignature),
}

/// A C function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CSignature {
    /// Its name; in C++ as its author wrote it.
    pub name: String,
    /// What it returns.
    pub result: Described,
    /// What it takes.
    pub parameters: Vec<Described>,
}

impl std::fmt::Display for CSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = self.parameters.iter().map(|parameter| parameter.text.as_str()).collect::<Vec<_>>();
        write!(f, "{} {}({})", self.result.text, self.name, list.join(", "))
    }
}

/// The entry of `source`, from parsing or compiling alone: what is checked against the problem before anything is
/// built.
///
/// # Errors
/// [`FrontendError`]; `Entry` if there is no single entry.
pub fn written(source: &Source, mlir: &Mlir, machine: &Machine) -> Result<Written, FrontendError> {
    if source.language == Language::Mlir {
        let module = mlir::parse(source, &mlir.context, &mlir.messages)?;
        let function = adapt_entry::find_entry(&module, source.directives.entry.as_deref())?;
        return Ok(Written::Mlir(signature_of(function)?));
    }
    let llvm = ffi::create_llvm_context();
    let module = match source.language {
        Language::LlvmIr => llvm_ir::parse(source, &llvm, machine)?,
        Language::Python | Language::Launches => {
            return Err(FrontendError::NotCompiled { path: source.path.clone() });
        }
        _ => c::compile(source, c::Markers::Vanish, &llvm)?,
    };
    let entry = wrap_pointers::find_entry(&module, source.directives.entry.as_deref())?;
    let name = source.directives.entry.clone().unwrap_or_else(|| symbol(entry));
    let mut types = ffi::describe_function(entry).into_iter();
    let result = types.next().unwrap_or_default();
    Ok(Written::C(CSignature { name, result, parameters: types.collect() }))
}

fn symbol(function: inkwell::values::FunctionValue<'_>) -> String {
    function.get_name().to_string_lossy().into_owned()
}

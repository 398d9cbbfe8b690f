//! What device code for NVIDIA takes besides LLVM: where `ptxas` and libdevice are, and libdevice's functions.
//!
//! libdevice is NVIDIA's math library as LLVM bitcode. MLIR calls its functions (`__nv_expf`) where a GPU has no
//! instruction; they are linked in before O3, which inlines what is called and drops the rest.

use super::{CodegenError, machine::Machine};
use crate::{frontend::triton::Stages, store::cache_dir};
use inkwell::module::{Linkage, Module};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Places of NVIDIA's tools. Neither is needed by every kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// The assembler. Without it the driver compiles PTX where it runs, and registers and spills are not known before.
    pub ptxas: Option<PathBuf>,
    /// libdevice's bitcode.
    pub libdevice: Option<PathBuf>,
    /// Where libdevice was looked for.
    pub looked_for_libdevice: Vec<String>,
    /// Triton's own stages, where what it launched is built.
    #[serde(default)]
    pub triton: Option<Stages>,
}

impl Tools {
    /// Looks at `KINSTR_PTXAS` and `KINSTR_LIBDEVICE`, `PATH`, kinstr's Python environment, and the usual CUDA folders.
    pub fn find() -> Self {
        let mut ptxas: Vec<PathBuf> = given("KINSTR_PTXAS").into_iter().collect();
        ptxas.extend(crate::program::find(&["ptxas"]));
        ptxas.extend(in_triton("bin/ptxas"));
        ptxas.extend(toolkits().into_iter().map(|toolkit| toolkit.join("bin/ptxas")));
        let mut libdevice: Vec<PathBuf> = given("KINSTR_LIBDEVICE").into_iter().collect();
        libdevice.extend(in_triton("lib/libdevice.10.bc"));
        libdevice
            .extend(toolkits().into_iter().map(|toolkit| toolkit.join("nvvm/libdevice/libdevice.10.bc")));
        let mut looked_for_libdevice = vec!["KINSTR_LIBDEVICE".to_owned()];
        looked_for_libdevice.extend(libdevice.iter().map(|path| path.display().to_string()));
        looked_for_libdevice.push(format!("Triton in {}", cache_dir().join("venv").display()));
        looked_for_libdevice.push("/usr/local/cuda*/nvvm/libdevice".to_owned());
        let there = |list: Vec<PathBuf>| list.into_iter().find(|path| path.is_file());
        Self { ptxas: there(ptxas), libdevice: there(libdevice), looked_for_libdevice, triton: None }
    }
}

fn given(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `file` of Triton's NVIDIA back end, in every Python of kinstr's environment.
fn in_triton(file: &str) -> Vec<PathBuf> {
    let pythons = listed(&cache_dir().join("venv/lib"), "python3");
    let backend = Path::new("site-packages/triton/backends/nvidia");
    pythons.into_iter().map(|python| python.join(backend).join(file)).collect()
}

/// CUDA toolkits, the newest first.
fn toolkits() -> Vec<PathBuf> {
    listed(Path::new("/usr/local"), "cuda")
}

fn listed(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.reverse();
    found
}

/// Links what `module` calls of libdevice into it.
///
/// # Errors
/// [`CodegenError::NoLibdevice`] naming the first function that is called and the places looked at; `Link` if the file
/// is no bitcode.
pub fn link_libdevice(module: &Module<'_>, machine: &Machine, tools: &Tools) -> Result<(), CodegenError> {
    let Some(function) = called(module) else { return Ok(()) };
    let Some(path) = &tools.libdevice else {
        return Err(CodegenError::NoLibdevice { function, looked_for: tools.looked_for_libdevice.clone() });
    };
    let refused = |reason: String| CodegenError::Link { reason: format!("{}: {reason}", path.display()) };
    let context = module.get_context();
    let library =
        Module::parse_bitcode_from_path(path, context).map_err(|error| refused(error.to_string()))?;
    machine.prepare(module);
    machine.prepare(&library);
    let own: Vec<String> = library
        .get_functions()
        .filter(|function| function.count_basic_blocks() > 0)
        .map(|function| function.get_name().to_string_lossy().into_owned())
        .collect();
    module.link_in_module(library).map_err(|error| refused(error.to_string()))?;
    let linked = own.iter().filter_map(|name| module.get_function(name));
    linked.for_each(|function| function.set_linkage(Linkage::Internal));
    match called(module) {
        Some(function) => Err(refused(format!("it has no `{function}`"))),
        None => Ok(()),
    }
}

/// A function of libdevice that `module` calls and does not define.
fn called(module: &Module<'_>) -> Option<String> {
    let undefined = module.get_functions().filter(|function| function.count_basic_blocks() == 0);
    let mut names = undefined.map(|function| function.get_name().to_string_lossy().into_owned());
    names.find(|name| name.starts_with("__nv_"))
}

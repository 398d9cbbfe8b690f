//! Object → shared library, by lld where it is, else the system's linker.

use super::CodegenError;
use inkwell::module::Module;
use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Runtime libraries that code asks for by the names it calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Libraries {
    /// C++: exceptions, allocation, the standard library.
    pub cpp: bool,
    /// OpenMP: LLVM's libomp.
    pub openmp: bool,
    /// MLIR's async runtime, from the release that is linked.
    pub mlir_async: bool,
    /// MLIR's GPU runtime functions, which the worker answers itself: they stay undefined.
    pub mlir_gpu: bool,
}

impl Libraries {
    /// What `module` leaves undefined.
    pub fn wanted_by(module: &Module<'_>) -> Self {
        let undefined = module.get_functions().filter(|function| function.count_basic_blocks() == 0);
        let names: Vec<String> =
            undefined.map(|function| function.get_name().to_string_lossy().into_owned()).collect();
        let any = |prefixes: &[&str]| {
            names.iter().any(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        };
        // libmvec's vector functions look like C++ names and are not.
        let mangled = names.iter().any(|name| name.starts_with("_Z") && !name.starts_with("_ZGV"));
        Self {
            cpp: mangled || any(&["__cxa_", "__gxx_personality", "_Unwind_"]),
            openmp: any(&["__kmpc_", "omp_"]),
            mlir_async: any(&["mlirAsyncRuntime"]),
            mlir_gpu: any(&[GPU_RUNTIME]),
        }
    }

    fn arguments(self) -> impl Iterator<Item = &'static str> {
        let cpp: &[_] = if self.cpp { &["-l:libstdc++.so.6", "-l:libgcc_s.so.1"] } else { &[] };
        let openmp: &[_] = if self.openmp { &["-l:libomp.so.5"] } else { &[] };
        // It is not where the system's loader looks.
        let mlir_async: &[_] = if self.mlir_async {
            &["-l:libmlir_async_runtime.so.22.1", "-rpath", LLVM_LIBRARIES]
        } else {
            &[]
        };
        let mlir_gpu: &[_] = if self.mlir_gpu { &["--warn-unresolved-symbols"] } else { &[] };
        cpp.iter().chain(mlir_gpu).chain(openmp).chain(mlir_async).copied()
    }
}

/// How the names of MLIR's GPU runtime functions begin.
const GPU_RUNTIME: &str = "mgpu";

/// Where MLIR's runtime libraries lie.
const LLVM_LIBRARIES: &str = "/usr/lib/llvm-22/lib";

const LINKERS: [&str; 4] = ["ld.lld-22", "/usr/lib/llvm-22/bin/ld.lld", "ld.lld", "ld"];

/// Links `object` into `library`. Math functions come from glibc's libm and libmvec, more from `libraries`; any other
/// symbol that is left undefined is an error.
///
/// # Errors
/// [`CodegenError::NoLinker`], or `Link` with the linker's own words.
pub fn shared_library(object: &Path, library: &Path, libraries: Libraries) -> Result<(), CodegenError> {
    let linker = find_linker()?;
    let output = Command::new(&linker)
        .args(["-shared", "-z", "defs", "-z", "now", "--build-id=none", "--eh-frame-hdr", "-o"])
        .arg(library)
        .arg(object)
        .args(["-L/usr/lib/x86_64-linux-gnu", "-L/lib/x86_64-linux-gnu", "-L/usr/lib64", "-L/lib64"])
        .args(["-L", LLVM_LIBRARIES, "--as-needed"])
        .args(libraries.arguments())
        // The loader itself, for variables that each thread has of its own.
        .args(["-l:libmvec.so.1", "-l:libm.so.6", "-l:libc.so.6", "-l:ld-linux-x86-64.so.2"])
        .output()
        .map_err(|error| CodegenError::Write { path: library.display().to_string(), error })?;
    if !output.status.success() {
        return Err(refusal(library, &linker, &output));
    }
    match undefined(&String::from_utf8_lossy(&output.stderr)) {
        None => Ok(()),
        Some(symbol) => Err(CodegenError::Link { reason: format!("undefined symbol: {symbol}") }),
    }
}

/// Why the linker failed: for lack of room, without a word, which tells nothing of the candidate, or because of it.
fn refusal(library: &Path, linker: &Path, output: &Output) -> CodegenError {
    let said = String::from_utf8_lossy(&output.stderr);
    let unwritten = |error| CodegenError::Write { path: library.display().to_string(), error };
    if crate::program::FULL_DISK.iter().any(|words| said.contains(words)) {
        return unwritten(io::ErrorKind::StorageFull.into());
    }
    if said.trim().is_empty() {
        let text = format!("{} ended with {} and said nothing", linker.display(), output.status);
        return unwritten(io::Error::other(text));
    }
    CodegenError::Link { reason: first_lines(&said, 3) }
}

/// The linker that will be used.
///
/// # Errors
/// [`CodegenError::NoLinker`].
pub fn find_linker() -> Result<PathBuf, CodegenError> {
    let found = crate::program::find(&LINKERS);
    found.ok_or_else(|| CodegenError::NoLinker { looked_for: LINKERS.map(str::to_owned).to_vec() })
}

/// A symbol that the linker warned of and that no worker answers. lld and GNU's linker word it differently.
fn undefined(warnings: &str) -> Option<&str> {
    let lld = warnings.lines().filter_map(|line| line.split_once("undefined symbol: "));
    let gnu = warnings.lines().filter_map(|line| line.split_once("undefined reference to `"));
    let mut symbols = lld.chain(gnu).map(|(_, symbol)| symbol.trim_end_matches('\''));
    symbols.find(|symbol| !symbol.starts_with(GPU_RUNTIME))
}

fn first_lines(text: &str, count: usize) -> String {
    text.lines().take(count).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_linker_without_room_or_words_is_not_the_candidate_s_fault() {
        let of = |said: &str| {
            let status = std::process::ExitStatus::from_raw(1 << 8);
            let output = Output { status, stdout: Vec::new(), stderr: said.as_bytes().to_vec() };
            refusal(Path::new("k.so"), Path::new("ld.lld"), &output)
        };
        let full = "ld.lld: error: failed to open k.so: No space left on device";
        assert!(matches!(of(full), CodegenError::Write { .. }));
        assert!(matches!(of(""), CodegenError::Write { .. }));
        assert!(matches!(of("ld.lld: error: undefined symbol: f"), CodegenError::Link { .. }));
    }
}

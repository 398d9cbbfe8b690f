//! Object → shared library, by lld where it is, else the system's linker.

use super::CodegenError;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

const LINKERS: [&str; 4] = ["ld.lld-22", "/usr/lib/llvm-22/bin/ld.lld", "ld.lld", "ld"];

/// Links `object` into `library`. Math functions come from glibc's libm and libmvec; any other symbol that is
/// left undefined is an error.
///
/// # Errors
/// [`CodegenError::NoLinker`], or `Link` with the linker's own words.
pub fn shared_library(object: &Path, library: &Path) -> Result<(), CodegenError> {
    let linker = find_linker()?;
    let output = Command::new(&linker)
        .args(["-shared", "-z", "defs", "-z", "now", "--build-id=none", "-o"])
        .arg(library)
        .arg(object)
        .args(["-L/usr/lib/x86_64-linux-gnu", "-L/lib/x86_64-linux-gnu", "-L/usr/lib64", "-L/lib64"])
        .args(["-l:libmvec.so.1", "-l:libm.so.6", "-l:libc.so.6"])
        .output()
        .map_err(|error| CodegenError::Link { reason: format!("{}: {error}", linker.display()) })?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(CodegenError::Link { reason: first_lines(&stderr, 3) })
}

fn find_linker() -> Result<PathBuf, CodegenError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = LINKERS.iter().find_map(|name| {
        let candidate = Path::new(name);
        if candidate.is_absolute() {
            return candidate.exists().then(|| candidate.to_owned());
        }
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    found.ok_or_else(|| CodegenError::NoLinker { looked_for: LINKERS.map(str::to_owned).to_vec() })
}

fn first_lines(text: &str, count: usize) -> String {
    text.lines().take(count).collect::<Vec<_>>().join("; ")
}

//! PTX → cubin by `ptxas`, and what it says of each kernel.

use super::CodegenError;
use kinstr_trace::device::KernelResources;
use std::{path::Path, process::Command};

/// A device module's machine code and what it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assembled {
    /// The cubin.
    pub cubin: Vec<u8>,
    /// Its kernels.
    pub kernels: Vec<KernelResources>,
}

/// Assembles the file `ptx` for `chip`, with these `options` too, into a file beside it.
///
/// # Errors
/// [`CodegenError::Ptxas`] with its own words.
pub fn assemble(ptxas: &Path, ptx: &Path, chip: &str, options: &[&str]) -> Result<Assembled, CodegenError> {
    let cubin = ptx.with_extension("cubin");
    let refused = |reason: String| CodegenError::Ptxas { reason };
    let output = Command::new(ptxas)
        .args(["-v", "--gpu-name", chip, "-lineinfo"])
        .args(options)
        .arg("-o")
        .arg(&cubin)
        .arg(ptx)
        .output()
        .map_err(|error| refused(format!("{}: {error}", ptxas.display())))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(5).collect();
        return Err(refused(said.join("; ")));
    }
    let bytes = std::fs::read(&cubin).map_err(|error| refused(format!("{}: {error}", cubin.display())))?;
    Ok(Assembled { cubin: bytes, kernels: resources(&said) })
}

/// What `ptxas -v` says of each entry.
pub fn resources(said: &str) -> Vec<KernelResources> {
    let mut kernels: Vec<KernelResources> = Vec::new();
    // Functions that are not inlined have properties as well; those are no kernel's.
    let mut of_kernel = false;
    for line in said.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let kernel = rest.split('\'').next().unwrap_or_default().to_owned();
            kernels.push(KernelResources { kernel, ..KernelResources::default() });
            continue;
        }
        let Some(kernel) = kernels.last_mut() else { continue };
        if let Some((_, function)) = line.split_once("Function properties for ") {
            of_kernel = function.trim() == kernel.kernel;
        } else if line.contains("bytes stack frame") && of_kernel {
            kernel.local_bytes = number_before(line, " bytes stack frame").unwrap_or(0);
            kernel.spill_store_bytes = number_before(line, " bytes spill stores");
            kernel.spill_load_bytes = number_before(line, " bytes spill loads");
        } else if line.contains("Used ") {
            let registers = number_before(line, " registers").and_then(|count| u32::try_from(count).ok());
            kernel.registers = registers.unwrap_or(0);
            kernel.shared_bytes = number_before(line, " bytes smem").unwrap_or(0);
        }
    }
    kernels
}

fn number_before(line: &str, what: &str) -> Option<u64> {
    let (before, _) = line.split_once(what)?;
    let digits = before.rsplit(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_read_from_the_verbose_output() {
        let said = "ptxas info    : 0 bytes gmem\n\
            ptxas info    : Compiling entry function 'k' for 'sm_90'\n\
            ptxas info    : Function properties for helper\n    \
            8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
            ptxas info    : Function properties for k\n    \
            16 bytes stack frame, 12 bytes spill stores, 20 bytes spill loads\n\
            ptxas info    : Used 42 registers, used 1 barriers, 16 bytes cumulative stack size, 1024 bytes smem\n";
        let expected = KernelResources {
            kernel: "k".into(),
            registers: 42,
            shared_bytes: 1024,
            local_bytes: 16,
            spill_store_bytes: Some(12),
            spill_load_bytes: Some(20),
            ..KernelResources::default()
        };
        assert_eq!(resources(said), [expected]);
    }
}

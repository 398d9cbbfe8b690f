//! What peaks of a GPU are measured with is still there once it is assembled: `ptxas` leaves out what it can compute by itself.
#![allow(clippy::unwrap_used)]

use kinstr::codegen::{cuda::Tools, ptxas};
use std::process::Command;

/// Operations that one round of a loop on registers has: 8 chains of 16.
const OPERATIONS: usize = 128;

/// Instructions whose names begin so in the assembled `kernel`.
fn count(sass: &str, kernel: &str, instruction: &str) -> usize {
    let own = sass.split("Function : ").find(|function| function.starts_with(kernel)).unwrap();
    own.lines().filter(|line| line.contains(&format!(" {instruction}"))).count()
}

#[test]
fn loops_are_as_long_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("peaks.ptx");
    std::fs::write(&file, kinstr_runtime::gpu::loops()).unwrap();
    let assembler = Tools::find().ptxas.unwrap();
    ptxas::assemble(&assembler, &file, "sm_90", &[]).unwrap();
    // Triton brings both along, in one folder.
    let dump = assembler.with_file_name("cuobjdump");
    let output = Command::new(dump).arg("-sass").arg(file.with_extension("cubin")).output().unwrap();
    let sass = String::from_utf8(output.stdout).unwrap();
    for (kernel, instruction) in [
        ("kinstr_peak_special", "MUFU.EX2"),
        ("kinstr_peak_f32", "FFMA"),
        ("kinstr_peak_f64", "DFMA"),
        ("kinstr_peak_f16x2", "HFMA2"),
        ("kinstr_peak_mma_f16", "HMMA"),
    ] {
        let found = count(&sass, kernel, instruction);
        assert!(found >= OPERATIONS, "{kernel} has {found} {instruction}");
    }
}

//! The text of a problem file: what is loaded can be used, and what is refused is refused at a place in the text.
#![no_main]

use kinstr::problem::{Problem, ProblemError};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

/// Folder of the references that seeds name.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/01-softmax/problem.toml");
/// Inputs up to this size are filled.
const FILLED: usize = 1 << 16;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Problem::parse(Path::new(FOLDER), text) {
        Ok(problem) => use_every_workload(&problem),
        Err(error) => show(error),
    }
});

/// Loading has checked sizes and initialisers, so that nothing can go wrong any more.
fn use_every_workload(problem: &Problem) {
    assert!(!problem.workloads.is_empty() && !problem.outputs.is_empty());
    assert!(!problem.signature().is_empty());
    for workload in &problem.workloads {
        let seed = problem.seeds(workload, 1)[0];
        for spec in problem.output_specs(workload) {
            assert!(spec.checked_bytes().is_some());
        }
        for (index, spec) in problem.input_specs(workload).iter().enumerate() {
            let bytes = spec.checked_bytes().expect("a size that fits the address space");
            if bytes <= FILLED {
                problem.fill_input(workload, index, seed, &mut vec![0; bytes]).expect("a valid initialiser");
            }
        }
    }
}

/// Renders the complaint as people see it, which reads the place it names.
fn show(error: ProblemError) {
    assert!(!format!("{:?}", miette::Report::new(error)).is_empty());
}

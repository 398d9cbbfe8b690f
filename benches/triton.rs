//! What instrumenting adds to the compile time of a Triton kernel, one row an example of `examples/triton/`: kinstr's own part,
//! what Triton's next stage and `ptxas` take longer, and what Triton takes for it without probes. Each kernel is compiled by a
//! process of its own, where nothing is cached. `cargo bench --bench triton`; needs Triton (`scripts/setup --torch`); asserts nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may panic")]
#![allow(missing_docs, reason = "a bench has no users")]

use kinstr::{
    codegen::{self, CodegenError, cuda::Tools, machine::Machine, ptxas},
    frontend::{
        Source,
        triton::{self, Compiler, KernelSpec},
    },
    lower::{
        LowerError, Mlir,
        device::{self, Device, Probes},
    },
};
use kinstr_passes::probe::{self, Probe};
use kinstr_trace::sites::SiteTable;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What an evaluation on a GPU times.
const TIMING: [&str; 5] = ["region-time", "block-timeline", "loop-time", "barrier-wait", "async-wait"];
const CHIP: &str = "sm_90";

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Lower(#[from] LowerError),
    #[error(transparent)]
    Codegen(#[from] CodegenError),
}

fn main() {
    let (mlir, began) = timed(|| Mlir::new().unwrap());
    println!("MLIR's context, once a process: {:.1} ms", ms(began));
    println!(
        "kernel: added = kinstr's own [read, insert, convert, back to LLVM IR, text] + PTX + ptxas; Triton without probes"
    );
    let mut examples: Vec<PathBuf> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/triton"))
            .unwrap()
            .map(|entry| entry.unwrap().path().join("kernel.py"))
            .filter(|path| path.exists())
            .collect();
    examples.sort();
    examples.iter().for_each(|path| row(&mlir, path));
}

fn row(mlir: &Mlir, path: &Path) {
    let source = Source::read(path).unwrap();
    let kernel = &source.directives.kernels[0];
    let mut compiler = Compiler::start(&source.path, CHIP).unwrap();
    let (text, compile) = timed(|| compiler.compile(kernel, true).unwrap());
    let (instrumented, steps) = instrument(mlir, kernel, &text);
    // The first time has what Triton does once a process.
    let (clean_ptx, first_finish) = timed(|| compiler.finish(&kernel.name, &text).unwrap());
    let (_, clean_finish) = timed(|| compiler.finish(&kernel.name, &text).unwrap());
    let (ptx, finish) = timed(|| compiler.finish(&kernel.name, &instrumented).unwrap());
    let (clean_assembler, assembler) = (assemble(&clean_ptx), assemble(&ptx));
    let own: Duration = steps.iter().sum();
    let (ptx, ptxas) = (ms(finish) - ms(clean_finish), ms(assembler) - ms(clean_assembler));
    println!(
        "{}: {:.1} ms added = {:.1} [{}] + {ptx:.1} + {ptxas:.1}; {:.0} ms",
        kernel.name,
        ms(own) + ptx + ptxas,
        ms(own),
        steps.map(|step| format!("{:.1}", ms(step))).join(", "),
        ms(compile + first_finish + clean_assembler),
    );
}

/// As `kinstr opt` does it, step by step.
fn instrument(mlir: &Mlir, kernel: &KernelSpec, text: &str) -> (String, [Duration; 5]) {
    let (llvm, machine) = (codegen::context(), Machine::nvptx(CHIP).unwrap());
    let (devices, read) = timed(|| {
        let code = triton::parse(&kernel.name, text, &llvm).unwrap();
        [device::adopt::<Error>(mlir, code, &machine).unwrap()]
    });
    let probes: Vec<&dyn Probe> = TIMING.map(|name| probe::find(name).unwrap()).into();
    let probes = Probes { probes: &probes, before: SiteTable::default(), choice: None };
    let ((modules, sites), insert) = timed(|| device::insert(mlir, &devices, probes).unwrap());
    let ((), convert) = timed(|| device::convert(mlir, &modules[0], &sites).unwrap());
    let (probed, back) =
        timed(|| device::instrumented::<Error>(mlir, &devices, &modules, &machine, &llvm).unwrap());
    let Device { code, .. } = &probed[0];
    let (printed, print) = timed(|| triton::as_triton_reads_it(&code.print_to_string().to_string(), text));
    (printed, [read, insert, convert, back, print])
}

fn assemble(ptx: &str) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kernel.ptx");
    std::fs::write(&file, ptx).unwrap();
    let assembler = Tools::find().ptxas.unwrap();
    timed(|| ptxas::assemble(&assembler, &file, "sm_90a", &[]).unwrap()).1
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    (work(), begin.elapsed())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

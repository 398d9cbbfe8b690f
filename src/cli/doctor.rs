//! `kinstr doctor`: what works here, and what each absent thing costs.

use super::{Failure, exit, print};
use crate::{
    codegen::{self, link},
    measure::{events::EventCounters, peaks},
    port_model,
    reference::Interpreter,
    store::cache_dir,
};
use clap::Args;
use std::process::Command;

#[derive(Args)]
pub struct Options {
    /// Measure the peaks of this machine anew; do so while it has nothing else to do
    #[arg(long)]
    remeasure: bool,
}

/// One thing that was looked at.
struct Finding {
    name: &'static str,
    /// What was found, or what its absence costs.
    outcome: Result<String, String>,
    /// True if evaluation is impossible without it.
    needed: bool,
}

/// Runs the command. Exits 3 if something that every evaluation needs is absent.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let findings = [
        target_machine(),
        linker(),
        cache(),
        python(),
        python_module("numpy", "NumPy references"),
        python_module("torch", "PyTorch and KernelBench references"),
        peaks_of_machine(options.remeasure),
        hardware_events(),
        port_model(),
    ];
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    for finding in &findings {
        let (mark, text) = match &finding.outcome {
            Ok(text) => ("ok     ", text),
            Err(text) if finding.needed => ("MISSING", text),
            Err(text) => ("absent ", text),
        };
        print(&format!("{mark}  {:width$}  {text}\n", finding.name));
    }
    let broken = findings.iter().any(|finding| finding.needed && finding.outcome.is_err());
    Ok(if broken { exit::INFRASTRUCTURE } else { exit::CORRECT })
}

fn target_machine() -> Finding {
    let outcome = codegen::machine::Machine::native()
        .map(|machine| format!("LLVM {} for {}", codegen::llvm_version(), machine.cpu()))
        .map_err(|error| error.to_string());
    Finding { name: "code generator", outcome, needed: true }
}

fn linker() -> Finding {
    let outcome = link::find_linker()
        .map(|path| path.display().to_string())
        .map_err(|error| format!("{error}; run scripts/setup, or install lld"));
    Finding { name: "linker", outcome, needed: true }
}

fn cache() -> Finding {
    let dir = cache_dir();
    let outcome = std::fs::create_dir_all(&dir)
        .and_then(|()| tempfile::tempfile_in(&dir))
        .map(|_| dir.display().to_string())
        .map_err(|error| format!("{} cannot be written ({error}); set XDG_CACHE_HOME", dir.display()));
    Finding { name: "cache", outcome, needed: true }
}

fn python() -> Finding {
    let outcome = Interpreter::find()
        .map(|interpreter| interpreter.path().display().to_string())
        .map_err(|error| format!("{error}; only MLIR references can be used"));
    Finding { name: "python", outcome, needed: false }
}

fn python_module(name: &'static str, cost: &str) -> Finding {
    let lacking = |why: String| format!("{why}; without it there are no {cost}: scripts/setup installs it");
    let outcome = Interpreter::find().map_err(|error| lacking(error.to_string())).and_then(|interpreter| {
        let code = format!("import importlib.metadata as m; print(m.version('{name}'))");
        let output = Command::new(interpreter.path()).args(["-c", &code]).output();
        match output {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            Ok(_) => Err(lacking("not installed".into())),
            Err(error) => Err(lacking(error.to_string())),
        }
    });
    Finding { name, outcome, needed: false }
}

fn peaks_of_machine(remeasure: bool) -> Finding {
    let outcome = match if remeasure { peaks::remeasure() } else { peaks::peaks() } {
        Ok((peaks, source)) => {
            let from = match source {
                peaks::Source::Cached => format!("cached, of {}; --remeasure measures anew", peaks.date),
                peaks::Source::Measured => "measured now".to_owned(),
            };
            let gflops = peaks.fma_f32_vector / 1e9;
            let dram = peaks.levels.last().map_or(0.0, |level| level.read_bytes_per_s / 1e9);
            Ok(format!("{gflops:.0} Gflop/s f32, {dram:.1} GB/s from DRAM, one thread ({from})"))
        }
        Err(fault) => Err(format!("{fault}; rooflines and what rests on them are left out")),
    };
    Finding { name: "peaks", outcome, needed: false }
}

fn hardware_events() -> Finding {
    let counters = EventCounters::open(std::process::id());
    let outcome = match (counters.has_hardware(), counters.missing()) {
        (true, None) => Ok("all that kinstr reads".to_owned()),
        (true, Some(missing)) => Ok(format!("all but {missing}")),
        (false, missing) => {
            let why = missing.unwrap_or_default();
            Err(format!("{why}: kernel counters come from block counts alone, which need no privileges"))
        }
    };
    Finding { name: "hardware events", outcome, needed: false }
}

fn port_model() -> Finding {
    let outcome = port_model::program().map(|path| path.display().to_string()).ok_or_else(|| {
        "no llvm-mca: loops are not modelled, and two rules are skipped; scripts/setup installs it".to_owned()
    });
    Finding { name: "llvm-mca", outcome, needed: false }
}

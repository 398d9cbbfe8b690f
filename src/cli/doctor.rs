//! `kinstr doctor`: what works here, and what each absent thing costs.

use super::{Failure, exit, print};
use crate::{
    codegen::{self, cuda::Tools, link},
    measure::{device_peaks, events::EventCounters, peaks, remeasure_device},
    port_model,
    reference::Interpreter,
    store::cache_dir,
};
use clap::Args;
use kinstr_runtime::gpu;
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
    let mut findings = vec![
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
    findings.extend(nvidia(options.remeasure));
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

/// What targets `cuda:N` need. Without a driver that is all there is to say.
fn nvidia(remeasure: bool) -> Vec<Finding> {
    let tools = Tools::find();
    let devices = match gpu::devices() {
        Ok(devices) => devices,
        Err(fault) => {
            let outcome = Err(format!("{fault}: there are no targets `cuda:N`"));
            return vec![Finding { name: "NVIDIA driver", outcome, needed: false }];
        }
    };
    let driver = devices.first().map(|device| device.facts.driver.clone()).unwrap_or_default();
    let mut findings = vec![Finding { name: "NVIDIA driver", outcome: Ok(driver), needed: false }];
    findings.extend(devices.iter().map(device));
    findings.extend(devices.iter().map(|device| peaks_of_device(device, remeasure)));
    findings.extend(devices.iter().map(clocks));
    findings.extend([ptxas(&tools), libdevice(&tools), torch_on_device(), cupti(), counter_permission()]);
    findings
}

fn device(device: &gpu::Shown) -> Finding {
    let facts = &device.facts;
    let capability = facts.chip.trim_start_matches("sm_");
    let (major, minor) = capability.split_at(capability.len().saturating_sub(1));
    let gib = facts.memory_bytes as f64 / (1_u64 << 30) as f64;
    let text = format!(
        "cuda:{}: {}, compute capability {major}.{minor}, {} SMs, {gib:.0} GiB",
        device.ordinal, facts.name, facts.sm_count
    );
    Finding { name: "device", outcome: Ok(text), needed: false }
}

fn peaks_of_device(device: &gpu::Shown, remeasure: bool) -> Finding {
    let measured = if remeasure {
        remeasure_device(device.ordinal, None).map(|peaks| (peaks, peaks::Source::Measured))
    } else {
        device_peaks(device)
    };
    let outcome = match measured {
        Ok((peaks, source)) => {
            let from = match source {
                peaks::Source::Cached => format!("cached, of {}", peaks.date),
                peaks::Source::Measured => "measured now".to_owned(),
            };
            let rate = |rates: &[kinstr_trace::device::Rate], dtype: &str| {
                rates.iter().find(|rate| rate.dtype == dtype).map_or(0.0, |rate| rate.flops_per_s / 1e12)
            };
            Ok(format!(
                "{:.2} TB/s from DRAM, {:.0} Tflop/s f32, {:.0} f16 on tensor cores ({from})",
                peaks.dram_read_bytes_per_s / 1e12,
                rate(&peaks.fma_flops, "f32"),
                rate(&peaks.tensor_flops, "f16"),
            ))
        }
        Err(fault) => Err(format!("{fault}; rooflines and what rests on them are left out")),
    };
    Finding { name: "device peaks", outcome, needed: false }
}

fn clocks(device: &gpu::Shown) -> Finding {
    let outcome = match gpu::state(device.ordinal) {
        Ok(state) => {
            let slowed = match state.slowed_by.as_slice() {
                [] => "nothing slows it down".to_owned(),
                reasons => format!("slowed down by {}", reasons.join(", ")),
            };
            let (now, most) = (state.sm_clock_mhz, state.most_sm_clock_mhz);
            Ok(format!("{now} MHz of {most}, {} °C, {slowed}", state.temperature_c))
        }
        Err(why) => Err(format!("{why}: reports do not say what clock and temperature times were taken at")),
    };
    Finding { name: "device clocks", outcome, needed: false }
}

fn ptxas(tools: &Tools) -> Finding {
    let lacking = "not found: the driver compiles PTX at each start, and spills are not known; scripts/setup says how to get it";
    let outcome =
        tools.ptxas.as_ref().map(|path| path.display().to_string()).ok_or_else(|| lacking.to_owned());
    Finding { name: "ptxas", outcome, needed: false }
}

fn libdevice(tools: &Tools) -> Finding {
    let lacking =
        "not found: kernels that call functions such as `expf` do not build; KINSTR_LIBDEVICE names it";
    let outcome =
        tools.libdevice.as_ref().map(|path| path.display().to_string()).ok_or_else(|| lacking.to_owned());
    Finding { name: "libdevice", outcome, needed: false }
}

fn torch_on_device() -> Finding {
    let lacking = |why: &str| format!("{why}: references run on the CPU, and speedups are over that");
    let code = "import torch; assert torch.cuda.is_available(); print('CUDA', torch.version.cuda)";
    let outcome = Interpreter::find().map_err(|error| lacking(&error.to_string())).and_then(|interpreter| {
        match Command::new(interpreter.path()).args(["-c", code]).output() {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            _ => Err(lacking("PyTorch has no GPU")),
        }
    });
    Finding { name: "torch.cuda", outcome, needed: false }
}

/// kinstr itself asks nothing of it so far.
fn cupti() -> Finding {
    let toolkits = std::fs::read_dir("/usr/local").into_iter().flatten().flatten();
    let places = ["extras/CUPTI/lib64", "lib64", "targets/x86_64-linux/lib"];
    let folders = toolkits.flat_map(|entry| places.map(|place| entry.path().join(place)));
    let libraries = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let is_cupti = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libcupti.so"))
    };
    let found = libraries.map(|entry| entry.path()).find(is_cupti);
    let outcome =
        found.map(|path| format!("{}, which is not used so far", path.display())).ok_or_else(|| {
            "no libcupti.so under /usr/local/cuda*: nothing is lost, it is not used so far".to_owned()
        });
    Finding { name: "CUPTI", outcome, needed: false }
}

/// The driver's parameter that keeps hardware counters to administrators.
fn counter_permission() -> Finding {
    let text = std::fs::read_to_string("/proc/driver/nvidia/params").unwrap_or_default();
    let restricted = text
        .lines()
        .find_map(|line| line.strip_prefix("RmProfilingAdminOnly:"))
        .map(|value| value.trim() == "1");
    let outcome = match restricted {
        Some(false) => Ok("for everybody".to_owned()),
        Some(true) => {
            Err("for administrators alone: counts come from probes, which need no privileges".to_owned())
        }
        None => Err("the driver does not tell: counts come from probes, which need no privileges".to_owned()),
    };
    Finding { name: "hardware counters", outcome, needed: false }
}

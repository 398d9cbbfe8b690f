//! Builds of what a candidate in Python launched with Triton: its kernels, clean as Triton made them and with probes in their LLVM IR, and host
//! code that launches them as the candidate did.

use super::{
    Build, BuildError, Instrumented, MANIFEST, Manifest, Probes,
    device::write_library,
    job,
    make::{find, relocate, relocate_sites, unavailable, write},
    optimize::memrefs,
};
use crate::complaint::Complaint;
use crate::{
    codegen::{
        self, CodegenError,
        assembly::AssemblyFacts,
        cuda::Tools,
        machine::Machine,
        ptxas::{self, Assembled},
    },
    frontend::{
        Source,
        triton::{
            self, Finished, TritonError, Unfinished, as_triton_reads_it,
            launches::{Kernel, Replay},
        },
    },
    lower::{
        Mlir,
        device::{self, Device},
        host::{Binary, Object},
        replay::{ENTRY, host_code, passed},
    },
    target::Target,
};
use inkwell::context::Context;
use kinstr_passes::{facts::Passed, probe::Probe};
use kinstr_trace::{
    device::KernelResources,
    layout::Mode,
    report::Fault,
    sites::{Choice, Place, SiteTable},
};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Writes every build of the launches in `source` for `chip` and the manifest into `dir`.
pub(super) fn make(
    source: &Source,
    probes: &Probes,
    chip: &str,
    tools: &Tools,
    dir: &Path,
) -> Result<(), BuildError> {
    let (mlir, llvm) = (Mlir::new()?, codegen::context());
    let maker = Maker::new(source, chip, tools, dir, &mlir)?;
    let [clean, marked] = [Form::Clean, Form::Marked].map(|form| maker.devices(form, &llvm));
    let (clean, marked) = (clean?, marked?);
    let timing = find(&probes.timing);
    let drafts = vec![
        maker.draft("timing", &timing, None, Mode::Aggregate, &marked),
        maker.draft("timeline", &timing, None, Mode::Trace, &marked),
        maker.draft("counting", &find(&probes.counting), None, Mode::Aggregate, &clean),
        maker.draft("observing", &find(&probes.observing), None, Mode::Aggregate, &clean),
    ];
    let drafts = drafts.into_iter().map(or_why_not).collect::<Result<_, _>>()?;
    let places = clean.iter().flat_map(|device| device.kernels.first()).map(|(_, place)| place.clone());
    let Built { clean, instrumented, convention } = maker.build(drafts, &places.collect::<Vec<_>>())?;
    let mut instrumented = instrumented.into_iter();
    let mut next = || instrumented.next().unwrap_or(Instrumented::Unavailable(String::new()));
    let manifest = Manifest {
        entry: ENTRY.to_owned(),
        convention,
        threads: 1,
        target: Target::Cuda { chip: chip.to_owned() },
        clean,
        timing: next(),
        timeline: next(),
        counting: next(),
        observing: next(),
    };
    job::write(dir, MANIFEST, &manifest)
}

/// Writes timing builds with the sites of `choice` alone, and a manifest that says the rest as `manifest` does.
pub(super) fn make_chosen(
    source: &Source,
    probes: &Probes,
    choice: &Choice,
    manifest: Manifest,
    tools: &Tools,
    dir: &Path,
) -> Result<(), BuildError> {
    let chip = manifest.target.chip().unwrap_or_default().to_owned();
    let (mlir, llvm) = (Mlir::new()?, codegen::context());
    let maker = Maker::new(source, &chip, tools, dir, &mlir)?;
    let marked = maker.devices(Form::Marked, &llvm)?;
    let timing = find(&probes.timing);
    let drafts = vec![
        maker.draft("timing", &timing, Some(choice), Mode::Aggregate, &marked),
        maker.draft("timeline", &timing, Some(choice), Mode::Trace, &marked),
    ];
    let drafts = drafts.into_iter().map(or_why_not).collect::<Result<_, _>>()?;
    let places: Vec<_> = manifest.clean.kernels.iter().map(|kernel| kernel.place.clone()).collect();
    let mut instrumented = maker.build(drafts, &places)?.instrumented.into_iter();
    let mut next = || instrumented.next().unwrap_or(Instrumented::Unavailable(String::new()));
    job::write(dir, MANIFEST, &Manifest { timing: next(), timeline: next(), ..manifest })
}

/// Which of a kernel's two forms of LLVM IR.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Clean,
    /// With markers where scopes begin and end, if it has any.
    Marked,
}

impl Form {
    fn of(self, kernel: &Kernel) -> &str {
        match (self, &kernel.marked) {
            (Self::Marked, Some(marked)) => marked,
            _ => &kernel.llvm_ir,
        }
    }
}

/// The LLVM IR of a build with probes, kernel by kernel, or why there is none.
enum Draft {
    Written { name: &'static str, llvm_ir: Vec<String>, sites: SiteTable },
    Not(Instrumented),
}

/// One that fails costs its layer, unless the machine failed it.
fn or_why_not(draft: Result<Draft, BuildError>) -> Result<Draft, BuildError> {
    draft.or_else(|error| match error.fault() {
        Fault::Infrastructure => Err(error),
        _ => {
            let why = format!("its build fails: {}", Complaint::from(&error).summary());
            Ok(Draft::Not(Instrumented::Unavailable(why)))
        }
    })
}

/// What came of drafts.
struct Built {
    clean: Build,
    /// In the order of the drafts.
    instrumented: Vec<Instrumented>,
    convention: super::Convention,
}

/// What every build of one replay needs.
struct Maker<'a> {
    source: &'a Source,
    replay: Replay,
    passed: BTreeMap<String, Vec<Passed>>,
    tools: &'a Tools,
    dir: &'a Path,
    mlir: &'a Mlir,
    gpu: Machine,
    cpu: Machine,
}

impl<'a> Maker<'a> {
    fn new(
        source: &'a Source,
        chip: &str,
        tools: &'a Tools,
        dir: &'a Path,
        mlir: &'a Mlir,
    ) -> Result<Self, BuildError> {
        let replay: Replay =
            serde_json::from_str(&source.text).map_err(|error| TritonError::Launches(error.to_string()))?;
        let (gpu, cpu) = (Machine::nvptx(chip)?, Machine::native()?);
        let passed = passed(&replay);
        Ok(Self { source, replay, passed, tools, dir, mlir, gpu, cpu })
    }

    /// The code of every kernel, under its symbol in the replay.
    fn devices<'l>(&self, form: Form, llvm: &'l Context) -> Result<Vec<Device<'l>>, BuildError> {
        let device = |kernel: &Kernel| {
            let code = triton::parse(&kernel.name, form.of(kernel), llvm)?;
            let Some(function) = code.get_function(&kernel.name) else {
                let reason = format!("it defines no `{}`", kernel.name);
                return Err(TritonError::Code { kernel: kernel.name.clone(), reason }.into());
            };
            function.as_global_value().set_name(&kernel.symbol);
            let device = device::adopt::<BuildError>(self.mlir, code, &self.gpu)?;
            Ok(Device { passed: self.passed.clone(), ..device })
        };
        self.replay.kernels.iter().map(device).collect()
    }

    fn draft(
        &self,
        name: &'static str,
        probes: &[&dyn Probe],
        choice: Option<&Choice>,
        mode: Mode,
        code: &[Device<'_>],
    ) -> Result<Draft, BuildError> {
        if probes.is_empty() {
            return Ok(Draft::Not(Instrumented::Unavailable(format!("no {name} probe was asked for"))));
        }
        let before = SiteTable { mode, ..SiteTable::default() };
        let inserted = device::insert(self.mlir, code, device::Probes { probes, before, choice });
        let (modules, sites) = match inserted {
            Ok(inserted) => inserted,
            Err(error) => return unavailable(error).map(Draft::Not),
        };
        for module in &modules {
            device::convert(self.mlir, module, &sites)?;
        }
        let llvm = codegen::context();
        let devices = device::instrumented::<BuildError>(self.mlir, code, &modules, &self.gpu, &llvm)?;
        let text = |(device, kernel): (&Device<'_>, &Kernel)| {
            as_triton_reads_it(&device.code.print_to_string().to_string(), &kernel.llvm_ir)
        };
        let llvm_ir = devices.iter().zip(&self.replay.kernels).map(text).collect();
        Ok(Draft::Written { name, llvm_ir, sites })
    }

    /// PTX, machine code and libraries of the clean build and of `drafts`. Kernels begin at these `places`.
    fn build(&self, drafts: Vec<Draft>, places: &[Option<Place>]) -> Result<Built, BuildError> {
        let kernels = &self.replay.kernels;
        let unfinished = drafts.iter().flat_map(|draft| match draft {
            Draft::Written { llvm_ir, .. } => llvm_ir.as_slice(),
            Draft::Not(_) => &[],
        });
        let unfinished = unfinished.zip(kernels.iter().cycle());
        let unfinished: Vec<_> = unfinished
            .map(|(llvm_ir, kernel)| Unfinished { llvm_ir: llvm_ir.clone(), metadata: &kernel.metadata })
            .collect();
        let Finished { ptx, ptxas } = self.finish(&unfinished)?;
        let clean: Vec<String> =
            kernels.iter().map(|kernel| renamed(&kernel.ptx, &kernel.name, &kernel.symbol)).collect();
        let all: Vec<&String> = clean.iter().chain(&ptx).collect();
        let mut assembled = self.assemble(&ptxas, &all)?.into_iter().zip(all);
        let mut some = || assembled.by_ref().take(kernels.len()).collect::<Vec<_>>();
        let (clean, convention) = self.emit("clean", some(), places, None)?;
        let instrumented = drafts.into_iter().map(|draft| match draft {
            Draft::Not(instrumented) => Ok(instrumented),
            Draft::Written { name, sites, .. } => {
                self.emit(name, some(), places, Some(sites)).map(|(build, _)| Instrumented::Built(build))
            }
        });
        let instrumented = instrumented.collect::<Result<_, BuildError>>()?;
        Ok(Built { clean, instrumented, convention })
    }

    /// PTX by Triton itself, so that nothing but the probes differs from what would run without kinstr.
    fn finish(&self, kernels: &[Unfinished<'_>]) -> Result<Finished, BuildError> {
        let stages = self.tools.triton.as_ref();
        let stages = stages.ok_or_else(|| TritonError::Stages("nobody said where Triton is".into()))?;
        let architecture = self.replay.kernels.first().and_then(|kernel| kernel.metadata.get("arch_number"));
        Ok(stages.finish(self.dir, architecture.unwrap_or(&serde_json::Value::Null), kernels)?)
    }

    /// Machine code of all of `ptx`, which are those of every kernel again and again, side by side.
    fn assemble(&self, ptxas: &Path, ptx: &[&String]) -> Result<Vec<Assembled>, BuildError> {
        let kernels = self.replay.kernels.iter().cycle();
        let jobs: Vec<(PathBuf, &String, &Kernel)> = ptx
            .iter()
            .zip(kernels)
            .enumerate()
            .map(|(index, (ptx, kernel))| (self.dir.join(format!("part-{index}.ptx")), *ptx, kernel))
            .collect();
        for (path, ptx, _) in &jobs {
            let failed = |error| CodegenError::Write { path: path.display().to_string(), error };
            std::fs::write(path, ptx).map_err(failed)?;
        }
        let assembled: Vec<_> = jobs.par_iter().map(|job| assemble(ptxas, job)).collect();
        for (path, ..) in &jobs {
            // One that stays harms nobody.
            let _ = (std::fs::remove_file(path), std::fs::remove_file(path.with_extension("cubin")));
        }
        Ok(assembled.into_iter().collect::<Result<_, _>>()?)
    }

    /// Writes the PTX of all kernels, and the library that holds their machine code.
    fn emit(
        &self,
        name: &str,
        parts: Vec<(Assembled, &String)>,
        places: &[Option<Place>],
        sites: Option<SiteTable>,
    ) -> Result<(Build, super::Convention), BuildError> {
        let ptx: Vec<&str> = parts.iter().map(|(_, ptx)| ptx.as_str()).collect();
        write(self.dir, &format!("{name}.ptx"), ptx.join("\n").as_bytes())?;
        let (mut binaries, mut kernels) = (Vec::new(), Vec::new());
        for (((assembled, ptx), kernel), place) in parts.into_iter().zip(&self.replay.kernels).zip(places) {
            let place = relocate(self.source, place.clone());
            let resources = assembled.kernels.into_iter().find(|known| known.kernel == kernel.symbol);
            let resources = resources
                .unwrap_or_else(|| KernelResources { kernel: kernel.symbol.clone(), ..Default::default() });
            kernels.push(KernelResources { place, ..resources });
            let (chip, object) = (chip_of(ptx).to_owned(), Object::Cubin(assembled.cubin));
            binaries.push(Binary { name: format!("{}.code", kernel.symbol), chip, object });
        }
        let host = host_code(self.mlir, &self.replay, &binaries)?;
        let convention = memrefs(&host.signature);
        let library = format!("{name}.so");
        write_library(self.mlir, host, &[], &self.cpu, &self.dir.join(&library))?;
        let sites = sites.map(|sites| relocate_sites(self.source, sites));
        Ok((Build { library, assembly: AssemblyFacts::default(), sites, kernels }, convention))
    }
}

/// Assembles one kernel's PTX as Triton has it assembled.
fn assemble(
    ptxas: &Path,
    (path, ptx, kernel): &(PathBuf, &String, &Kernel),
) -> Result<Assembled, CodegenError> {
    let mut options: Vec<&str> = Vec::new();
    if kernel.metadata.get("enable_fp_fusion").and_then(serde_json::Value::as_bool) == Some(false) {
        options.push("--fmad=false");
    }
    let own = kernel.metadata.get("ptx_options").and_then(serde_json::Value::as_str);
    options.extend(own.into_iter().flat_map(str::split_whitespace));
    ptxas::assemble(ptxas, path, chip_of(ptx), &options)
}

/// What PTX says that it is for.
fn chip_of(ptx: &str) -> &str {
    let target = ptx.lines().find_map(|line| line.trim_start().strip_prefix(".target"));
    target.and_then(|rest| rest.trim().split([',', ' ']).next()).unwrap_or_default()
}

/// `ptx` with another name for its kernel, which stands in one place. Names of its parameters begin with the kernel's, and stay.
fn renamed(ptx: &str, name: &str, symbol: &str) -> String {
    ptx.replacen(&format!(".entry {name}("), &format!(".entry {symbol}("), 1)
}

#[cfg(test)]
mod tests;

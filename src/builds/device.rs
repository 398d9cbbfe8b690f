//! Builds for a GPU: each is a library of host code with its kernels embedded, as machine code if `ptxas` is there.

use super::{
    Build, BuildError, Instrumented, MANIFEST, Manifest, Probes, job,
    make::{find, relocate, relocate_sites, unavailable, write},
    optimize::memrefs,
};
use crate::{
    codegen::{self, assembly::AssemblyFacts, cuda::Tools, link::Libraries, machine::Machine, ptxas},
    frontend::{Language, Source, mlir},
    lower::{
        self, LowerError, Mlir, Structured,
        device::{self, Device, Mapping},
        host::{self, Binary, Object},
    },
    target::Target,
};
use inkwell::context::Context;
use kinstr_passes::{
    ffi::clone_module,
    probe::{self, Level, Probe, ProbeError, Request},
};
use kinstr_trace::{
    device::KernelResources,
    layout::Mode,
    sites::{Choice, SiteTable},
};
use melior::ir::Module;
use std::path::Path;

/// Writes every build of `source` for `chip` and the manifest into `dir`.
pub(super) fn make(
    source: &Source,
    probes: &Probes,
    chip: &str,
    tools: &Tools,
    dir: &Path,
) -> Result<(), BuildError> {
    let (mlir, llvm) = (Mlir::new()?, codegen::context());
    let maker = Maker::new(source, chip, tools, dir, &mlir)?;
    let optimized = maker.optimized(&maker.structured.module, &llvm)?;
    let timing = find(&probes.timing);
    let manifest = Manifest {
        entry: maker.structured.signature.name.clone(),
        convention: memrefs(&maker.structured.signature),
        threads: 1,
        target: Target::Cuda { chip: chip.to_owned() },
        clean: maker.emit(&optimized, "clean", None)?,
        timing: maker.timing(&timing, None, Mode::Aggregate, &optimized, &llvm)?,
        timeline: maker.timing(&timing, None, Mode::Trace, &optimized, &llvm)?,
        counting: maker.late(&find(&probes.counting), "counting", &optimized, &llvm)?,
        observing: maker.late(&find(&probes.observing), "observing", &optimized, &llvm)?,
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
    let optimized = maker.optimized(&maker.structured.module, &llvm)?;
    let probes = find(&probes.timing);
    let timing = maker.timing(&probes, Some(choice), Mode::Aggregate, &optimized, &llvm)?;
    let timeline = maker.timing(&probes, Some(choice), Mode::Trace, &optimized, &llvm)?;
    job::write(dir, MANIFEST, &Manifest { timing, timeline, ..manifest })
}

/// What every build of one candidate needs.
struct Maker<'a> {
    source: &'a Source,
    chip: &'a str,
    tools: &'a Tools,
    dir: &'a Path,
    mlir: &'a Mlir,
    gpu: Machine,
    cpu: Machine,
    structured: Structured<'a>,
}

impl<'a> Maker<'a> {
    fn new(
        source: &'a Source,
        chip: &'a str,
        tools: &'a Tools,
        dir: &'a Path,
        mlir: &'a Mlir,
    ) -> Result<Self, BuildError> {
        if source.language != Language::Mlir {
            return Err(BuildError::Target {
                target: Target::Cuda { chip: chip.to_owned() },
                language: source.language,
            });
        }
        let module = mlir::parse(source, &mlir.context, &mlir.messages)?;
        lower::refuse::check(&module, &source.directives)?;
        let structured = host::structure(mlir, module, &source.directives, Mapping::for_nvidia(chip))?;
        let (gpu, cpu) = (Machine::nvptx(chip)?, Machine::native()?);
        Ok(Self { source, chip, tools, dir, mlir, gpu, cpu, structured })
    }

    /// The optimised code of every kernel in `module`, which stays as it is.
    fn optimized<'l>(&self, module: &Module<'a>, llvm: &'l Context) -> Result<Vec<Device<'l>>, BuildError> {
        let devices = device::lower_nvidia(self.mlir, &mut clone_module(module), llvm)?;
        device::optimize(&devices, &self.gpu, self.tools)?;
        Ok(devices)
    }

    /// Marked regions go in early, and then the way down is walked again with them; all else goes into `clean` code.
    fn timing(
        &self,
        probes: &[&dyn Probe],
        choice: Option<&Choice>,
        mode: Mode,
        clean: &[Device<'_>],
        llvm: &Context,
    ) -> Result<Instrumented, BuildError> {
        let (early, late): (Vec<&dyn Probe>, Vec<&dyn Probe>) =
            probes.iter().partition(|probe| probe.level() == Level::Structured);
        let module = clone_module(&self.structured.module);
        let before = SiteTable { mode, ..SiteTable::default() };
        let request = Request { probes: &early, entry: None, before: before.clone(), choice };
        let regions = match probe::insert_more(&self.mlir.context, &module, request) {
            Ok(sites) => sites,
            Err(ProbeError::NothingToWatch { .. }) => before,
            Err(error) => return Err(LowerError::from(error).into()),
        };
        let name = if mode == Mode::Trace { "timeline" } else { "timing" };
        if regions.sites.is_empty() {
            return self.instrument(&late, regions, choice, name, clean, llvm);
        }
        let carrying = self.optimized(&module, llvm)?;
        self.instrument(&late, regions, choice, name, &carrying, llvm)
    }

    /// What counts or observes goes into the code that the clean build runs.
    fn late(
        &self,
        probes: &[&dyn Probe],
        name: &str,
        clean: &[Device<'_>],
        llvm: &Context,
    ) -> Result<Instrumented, BuildError> {
        self.instrument(probes, SiteTable::default(), None, name, clean, llvm)
    }

    fn instrument(
        &self,
        probes: &[&dyn Probe],
        before: SiteTable,
        choice: Option<&Choice>,
        name: &str,
        code: &[Device<'_>],
        llvm: &Context,
    ) -> Result<Instrumented, BuildError> {
        if probes.is_empty() && before.sites.is_empty() {
            return Ok(Instrumented::Unavailable(format!("no {name} probe was asked for")));
        }
        let inserted = device::insert(self.mlir, code, device::Probes { probes, before, choice });
        let (modules, sites) = match inserted {
            Ok(inserted) => inserted,
            Err(error) => return unavailable(error),
        };
        for module in &modules {
            device::convert(self.mlir, module, &sites)?;
        }
        let devices = device::instrumented::<BuildError>(self.mlir, code, &modules, &self.gpu, llvm)?;
        Ok(Instrumented::Built(self.emit(&devices, name, Some(sites))?))
    }

    /// Writes the PTX of all kernels, and the library that holds them.
    fn emit(
        &self,
        devices: &[Device<'_>],
        name: &str,
        sites: Option<SiteTable>,
    ) -> Result<Build, BuildError> {
        let (mut binaries, mut kernels, mut all) = (Vec::new(), Vec::new(), String::new());
        for (index, device) in devices.iter().enumerate() {
            let ptx = codegen::emit_assembly(&device.code, &self.gpu)?;
            all += &ptx;
            let (object, own) = self.assemble(&format!("{name}.{index}.ptx"), ptx)?;
            kernels.extend(device.kernels.iter().map(|(kernel, place)| {
                let known = own.iter().find(|resources| resources.kernel == *kernel).cloned();
                let resources =
                    known.unwrap_or_else(|| KernelResources { kernel: kernel.clone(), ..Default::default() });
                let place = relocate(self.source, place.clone());
                KernelResources { place, ..resources }
            }));
            binaries.push(Binary { name: device.name.clone(), chip: self.chip.to_owned(), object });
        }
        write(self.dir, &format!("{name}.ptx"), all.as_bytes())?;
        let library = format!("{name}.so");
        self.link(&binaries, &library)?;
        let sites = sites.map(|sites| relocate_sites(self.source, sites));
        Ok(Build { library, assembly: AssemblyFacts::default(), sites, kernels })
    }

    /// Machine code by `ptxas`; without it the PTX itself, of which nothing more is known.
    fn assemble(&self, file: &str, ptx: String) -> Result<(Object, Vec<KernelResources>), BuildError> {
        let Some(ptxas) = &self.tools.ptxas else { return Ok((Object::Ptx(ptx), Vec::new())) };
        write(self.dir, file, ptx.as_bytes())?;
        let path = self.dir.join(file);
        let assembled = ptxas::assemble(ptxas, &path, self.chip, &[])?;
        // The PTX of all modules stands in one file beside; one that stays harms nobody.
        let _ = std::fs::remove_file(path);
        Ok((Object::Cubin(assembled.cubin), assembled.kernels))
    }

    fn link(&self, binaries: &[Binary], library: &str) -> Result<(), BuildError> {
        let Structured { module, signature } = &self.structured;
        let structured = Structured { module: clone_module(module), signature: signature.clone() };
        write_library(self.mlir, structured, binaries, &self.cpu, &self.dir.join(library))
    }
}

/// Writes the library of host code that launches the kernels in `binaries`.
pub(super) fn write_library<'c>(
    mlir: &'c Mlir,
    mut host: Structured<'c>,
    binaries: &[Binary],
    cpu: &Machine,
    path: &Path,
) -> Result<(), BuildError> {
    host::lower(mlir, &mut host, binaries)?;
    let llvm = codegen::context();
    let code = lower::to_llvm_ir(mlir, &host.module, &llvm)?;
    codegen::optimize(&code, cpu)?;
    let object = codegen::assemble(&codegen::emit_assembly(&code, cpu)?, cpu)?;
    codegen::write_library(&object, path, Libraries::wanted_by(&code))?;
    Ok(())
}

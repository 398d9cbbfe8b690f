//! What holds for every probe, over every example: insert then strip is the identity, and no `kprobe` op
//! survives conversion. The same holds of kernels for a GPU. A new probe is covered by being in its folder; and so are the
//! probes together that share a build of an evaluation. A candidate is compiled once for all of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use inkwell::{context::Context, module::Module as LlvmModule};
use kinstr::{
    builds::Probes,
    codegen::{self, cuda::Tools, machine::Machine},
    frontend::{
        Language, Source,
        c::{self, Markers},
        llvm_ir, mlir,
    },
    lower::{self, LowerError, Mlir, device, host},
};
use kinstr_passes::{
    ffi::clone_module,
    probe::{self, Level, Probe, ProbeError},
    probes,
    transforms::strip_probes::strip_probes,
};
use kinstr_trace::{layout::Mode, sites::SiteTable};
use melior::ir::{
    Module,
    operation::{OperationLike, OperationPrintingFlags},
};
use std::path::{Path, PathBuf};

/// Endings of files that are candidates.
const LANGUAGES: [&str; 4] = ["mlir", "c", "cpp", "ll"];

fn examples() -> Vec<Source> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).into_iter().flatten())
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension().is_some_and(|extension| LANGUAGES.iter().any(|known| extension == *known))
        })
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "reference"))
        .collect();
    found.sort();
    // Threads, which not every probe finds in the examples.
    found
        .push(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("lit-tests/Inputs/thread-timeline/kernel.mlir"));
    assert!(found.len() >= 8, "too few examples: {found:?}");
    found.iter().map(|path| Source::read(path).unwrap()).collect()
}

/// The module with its locations, which are as much part of it as its ops.
fn text(module: &Module<'_>) -> String {
    let flags = OperationPrintingFlags::new().enable_debug_info(true, false);
    module.as_operation().to_string_with_flags(flags).unwrap()
}

fn structured<'c>(mlir: &'c Mlir, source: &Source) -> (lower::Structured<'c>, Vec<String>) {
    let module = mlir::parse(source, &mlir.context, &mlir.messages).unwrap();
    lower::structure(mlir, module, &source.directives)
        .unwrap_or_else(|error| panic!("{}: {error}", source.path.display()))
}

/// What late probes are given, whatever it was written in.
fn optimized<'l>(mlir: &Mlir, source: &Source, llvm: &'l Context) -> LlvmModule<'l> {
    let machine = Machine::native().unwrap();
    match source.language {
        Language::Mlir => {
            let (mut module, rest) = structured(mlir, source);
            lower::to_llvm_dialect(mlir, &mut module, &rest, None).unwrap();
            let code = lower::to_llvm_ir(mlir, &module.module, llvm).unwrap();
            codegen::optimize(&code, &machine).unwrap();
            code
        }
        Language::LlvmIr => {
            let code = llvm_ir::parse(source, llvm, &machine).unwrap();
            codegen::optimize(&code, &machine).unwrap();
            code
        }
        _ => {
            let code = c::compile(source, Markers::Vanish, llvm).unwrap();
            codegen::adopt(&code, &machine).unwrap();
            code
        }
    }
}

/// Answers whether the probe found something to watch.
fn check_structured(mlir: &Mlir, source: &Source, probe: &dyn Probe, mode: Mode) -> bool {
    if source.language != Language::Mlir {
        // There is no structure in it.
        return false;
    }
    let path = &source.path;
    let (mut module, rest) = structured(mlir, source);
    let before = text(&module.module);
    if let Err(error) = lower::insert_early(mlir, &module, &[probe], mode, None) {
        let LowerError::Probe(error) = error else { panic!("{}: {error}", path.display()) };
        return found_nothing(&error, &before, &module.module);
    }
    assert_ne!(text(&module.module), before, "{} inserted nothing into {}", probe.name(), path.display());
    strip_probes(&mlir.context, &module.module);
    assert_eq!(text(&module.module), before, "{} on {}", probe.name(), path.display());

    let sites = lower::insert_early(mlir, &module, &[probe], mode, None).unwrap();
    lower::to_llvm_dialect(mlir, &mut module, &rest, Some(&sites)).unwrap();
    assert!(
        !module.module.as_operation().to_string().contains("kprobe."),
        "{} on {}",
        probe.name(),
        path.display()
    );
    true
}

/// A probe that finds nothing to watch has touched nothing; any other error fails the test.
fn found_nothing(error: &ProbeError, before: &str, module: &Module<'_>) -> bool {
    assert!(matches!(error, ProbeError::NothingToWatch { .. }), "{error}");
    assert_eq!(text(module), before);
    false
}

/// A candidate's optimised code, as LLVM IR and imported.
struct Late<'a, 'l> {
    mlir: &'a Mlir,
    path: &'a Path,
    code: &'a LlvmModule<'l>,
    imported: Module<'a>,
}

impl Late<'_, '_> {
    /// Whether one of the probes found something to watch; those that do not are left out.
    fn check(&self, probes: &[&dyn Probe], mode: Mode) -> bool {
        let Self { mlir, path, code, imported } = self;
        let before = text(imported);
        let insert = |module: &Module<'_>, probes: &[&dyn Probe]| {
            probe::insert(&mlir.context, module, probes, None, mode)
        };
        let finds = |probe: &&dyn Probe| match insert(&clone_module(imported), &[*probe]) {
            Err(error) => found_nothing(&error, &before, imported),
            Ok(_) => true,
        };
        let probes: Vec<&dyn Probe> = probes.iter().copied().filter(finds).collect();
        if probes.is_empty() {
            return false;
        }
        let names = || probes.iter().map(|probe| probe.name()).collect::<Vec<_>>().join(", ");
        let module = clone_module(imported);
        insert(&module, &probes).unwrap();
        assert_ne!(text(&module), before);
        strip_probes(&mlir.context, &module);
        assert_eq!(text(&module), before, "{} on {}", names(), path.display());

        let (converted, _) = lower::insert_late(mlir, code, &probes, mode).unwrap();
        let left = converted.as_operation().to_string().contains("kprobe.");
        assert!(!left, "{} on {}", names(), path.display());
        true
    }
}

/// Probes that have nothing to tell of one of both: threads, and what lies in a CPU's caches; warps.
const CPU_ALONE: [&str; 3] = ["branch-outcome", "cache-footprint", "thread-timeline"];
const GPU_ALONE: [&str; 4] = ["async-wait", "barrier-wait", "block-timeline", "divergence"];

/// Kernels of the examples for GPUs, where there are any, and of the tests'.
fn kernels() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folders = std::fs::read_dir(root.join("examples/gpu")).into_iter().flatten();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).into_iter().flatten());
    let mut found: Vec<PathBuf> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mlir"))
        .collect();
    found.sort();
    found.push(root.join("lit-tests/Inputs/device/kernel.mlir"));
    found.push(root.join("lit-tests/Inputs/device/tensor.mlir"));
    found
}

/// The probes that found something to watch in a kernel; none if it needs a library that is not on this machine.
fn check_device(path: &Path, mode: Mode) -> Vec<&'static str> {
    let (structured, optimized): (Vec<&dyn Probe>, Vec<&dyn Probe>) =
        probes::ALL.iter().copied().partition(|probe| probe.level() == Level::Structured);
    let early = structured.into_iter().filter(|probe| check_kernel(path, &[*probe], &[], mode).is_some());
    let early: Vec<&str> = early.map(|probe| probe.name()).collect();
    let late = check_kernel(path, &[], &optimized, mode).unwrap_or_default();
    [early, late].concat()
}

/// Compiles a kernel with `early` probes and answers which of the `late` ones find something to watch in it, each alone;
/// `None` if the early ones do not, or math needs a library that is not on this machine.
fn check_kernel(
    path: &Path,
    early: &[&dyn Probe],
    late: &[&'static dyn Probe],
    mode: Mode,
) -> Option<Vec<&'static str>> {
    let (mlir, llvm) = (Mlir::new().unwrap(), codegen::context());
    let source = Source::read(path).unwrap();
    let module = mlir::parse(&source, &mlir.context, &mlir.messages).unwrap();
    let mut structured =
        host::structure(&mlir, module, &source.directives, device::Mapping::for_nvidia("sm_90")).unwrap();
    let mut before = SiteTable { mode, ..SiteTable::default() };
    for probe in early {
        let original = text(&structured.module);
        match probe::insert(&mlir.context, &structured.module, &[*probe], None, mode) {
            Ok(sites) => before = sites,
            Err(error) => {
                found_nothing(&error, &original, &structured.module);
                return None;
            }
        }
        let inserted = clone_module(&structured.module);
        strip_probes(&mlir.context, &inserted);
        assert_eq!(text(&inserted), original, "{} on {}", probe.name(), path.display());
    }
    let machine = Machine::nvptx("sm_90").unwrap();
    let devices = device::lower_nvidia(&mlir, &mut structured.module, &llvm).unwrap();
    match device::optimize(&devices, &machine, &Tools::find()) {
        Err(codegen::CodegenError::NoLibdevice { .. }) => return None,
        optimized => optimized.unwrap(),
    }
    let original: Vec<String> =
        devices.iter().map(|device| text(&lower::import(&mlir, &device.code).unwrap())).collect();
    let check = |late: &[&dyn Probe]| {
        let probes = || device::Probes { probes: late, before: before.clone(), choice: None };
        let (modules, _) = match device::insert(&mlir, &devices, probes()) {
            Ok(inserted) => inserted,
            Err(LowerError::Probe(ProbeError::NothingToWatch { .. })) => return false,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        let names = || late.iter().map(|probe| probe.name()).collect::<String>();
        device::strip(&mlir, &modules);
        if early.is_empty() {
            let stripped: Vec<String> = modules.iter().map(text).collect();
            assert_eq!(stripped, original, "{} on {}", names(), path.display());
        }
        let (modules, sites) = device::insert(&mlir, &devices, probes()).unwrap();
        for module in &modules {
            device::convert(&mlir, module, &sites).unwrap();
            assert!(!text(module).contains("kprobe."), "{} on {}", names(), path.display());
        }
        device::instrumented::<LowerOrCodegen>(&mlir, &devices, &modules, &machine, &llvm).unwrap();
        true
    };
    if !early.is_empty() {
        return check(&[]).then(Vec::new);
    }
    Some(late.iter().filter(|probe| check(&[**probe])).map(|probe| probe.name()).collect())
}

#[derive(Debug)]
#[allow(dead_code, reason = "it is printed")]
enum LowerOrCodegen {
    Lower(LowerError),
    Codegen(codegen::CodegenError),
}

impl From<LowerError> for LowerOrCodegen {
    fn from(error: LowerError) -> Self {
        Self::Lower(error)
    }
}

impl From<codegen::CodegenError> for LowerOrCodegen {
    fn from(error: codegen::CodegenError) -> Self {
        Self::Codegen(error)
    }
}

fn check_kernels(mode: Mode) {
    let watched: Vec<&str> = kernels().iter().flat_map(|path| check_device(path, mode)).collect();
    for name in probes::ALL.iter().map(|probe| probe.name()) {
        assert_eq!(watched.contains(&name), !CPU_ALONE.contains(&name), "{name} in all kernels");
    }
}

#[test]
fn every_probe_keeps_the_laws_in_kernels_when_aggregating() {
    check_kernels(Mode::Aggregate);
}

#[test]
fn every_probe_keeps_the_laws_in_kernels_when_tracing() {
    check_kernels(Mode::Trace);
}

/// The late probes of each build of an evaluation.
fn builds() -> Vec<Vec<&'static dyn Probe>> {
    let Probes { timing, counting, observing } = Probes::default();
    let late = |names: Vec<String>| -> Vec<&'static dyn Probe> {
        let probes = names.iter().map(|name| probe::find(name).unwrap());
        probes.filter(|probe| probe.level() == Level::Optimized).collect()
    };
    [timing, counting, observing].map(late).into()
}

/// Each probe alone, and those of each build together.
fn check_all(mode: Mode) {
    let mut watched: Vec<&str> = Vec::new();
    for source in examples() {
        let (mlir, llvm) = (Mlir::new().unwrap(), codegen::context());
        let code = optimized(&mlir, &source, &llvm);
        let imported = lower::import(&mlir, &code).unwrap();
        let late = Late { mlir: &mlir, path: &source.path, code: &code, imported };
        let finds = |probe: &&&dyn Probe| match probe.level() {
            Level::Structured => check_structured(&mlir, &source, **probe, mode),
            Level::Optimized => late.check(&[**probe], mode),
        };
        watched.extend(probes::ALL.iter().filter(finds).map(|probe| probe.name()));
        for probes in builds() {
            late.check(&probes, mode);
        }
    }
    for name in probes::ALL.iter().map(|probe| probe.name()) {
        assert_eq!(watched.contains(&name), !GPU_ALONE.contains(&name), "{name} in all examples");
    }
}

#[test]
fn every_probe_keeps_the_laws_when_aggregating() {
    check_all(Mode::Aggregate);
}

#[test]
fn every_probe_keeps_the_laws_when_tracing() {
    check_all(Mode::Trace);
}

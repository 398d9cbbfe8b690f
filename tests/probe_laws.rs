//! What holds for every probe, over every example: insert then strip is the identity, and no `kprobe` op
//! survives conversion. A new probe is covered by being in its folder; and so are the probes together that share a build
//! of an evaluation.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use kinstr::{
    builds::Probes,
    codegen::{self, machine::Machine},
    frontend::{Source, mlir},
    lower::{self, LowerError, Mlir},
};
use kinstr_passes::{
    ffi::clone_module,
    probe::{self, Level, Probe, ProbeError},
    probes,
    transforms::strip_probes::strip_probes,
};
use kinstr_trace::layout::Mode;
use melior::ir::{
    Module,
    operation::{OperationLike, OperationPrintingFlags},
};
use std::path::{Path, PathBuf};

fn examples() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).into_iter().flatten())
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mlir"))
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "reference"))
        .collect();
    found.sort();
    // Threads, which not every probe finds in the examples.
    found
        .push(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("lit-tests/Inputs/thread-timeline/kernel.mlir"));
    assert!(found.len() >= 8, "too few examples: {found:?}");
    found
}

/// The module with its locations, which are as much part of it as its ops.
fn text(module: &Module<'_>) -> String {
    let flags = OperationPrintingFlags::new().enable_debug_info(true, false);
    module.as_operation().to_string_with_flags(flags).unwrap()
}

fn structured<'c>(mlir: &'c Mlir, path: &Path) -> (lower::Structured<'c>, Vec<String>) {
    let source = Source::read(path).unwrap();
    let module = mlir::parse(&source, &mlir.context, &mlir.messages).unwrap();
    lower::structure(mlir, module, &source.directives)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Answers whether the probe found something to watch.
fn check_structured(path: &Path, probe: &dyn Probe, mode: Mode) -> bool {
    let mlir = Mlir::new().unwrap();
    let (mut module, rest) = structured(&mlir, path);
    let before = text(&module.module);
    if let Err(error) = lower::insert_early(&mlir, &module, &[probe], mode, None) {
        let LowerError::Probe(error) = error else { panic!("{}: {error}", path.display()) };
        return found_nothing(&error, &before, &module.module);
    }
    assert_ne!(text(&module.module), before, "{} inserted nothing into {}", probe.name(), path.display());
    strip_probes(&mlir.context, &module.module);
    assert_eq!(text(&module.module), before, "{} on {}", probe.name(), path.display());

    let sites = lower::insert_early(&mlir, &module, &[probe], mode, None).unwrap();
    lower::to_llvm_dialect(&mlir, &mut module, &rest, Some(&sites)).unwrap();
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

/// Answers whether the probe found something to watch.
fn check_optimized(path: &Path, probe: &dyn Probe, mode: Mode) -> bool {
    check_together(path, &[probe], mode)
}

/// Answers whether one of the probes found something to watch; those that do not are left out.
fn check_together(path: &Path, probes: &[&dyn Probe], mode: Mode) -> bool {
    let mlir = Mlir::new().unwrap();
    let (mut module, rest) = structured(&mlir, path);
    lower::to_llvm_dialect(&mlir, &mut module, &rest, None).unwrap();
    let llvm = codegen::context();
    let code = lower::to_llvm_ir(&mlir, &module.module, &llvm).unwrap();
    codegen::optimize(&code, &Machine::native().unwrap()).unwrap();

    let imported = lower::import(&mlir, &code).unwrap();
    let before = text(&imported);
    let finds = |probe: &&dyn Probe| match probe::insert(
        &mlir.context,
        &clone_module(&imported),
        &[*probe],
        None,
        mode,
    ) {
        Err(error) => found_nothing(&error, &before, &imported),
        Ok(_) => true,
    };
    let probes: Vec<&dyn Probe> = probes.iter().copied().filter(finds).collect();
    if probes.is_empty() {
        return false;
    }
    let names = || probes.iter().map(|probe| probe.name()).collect::<Vec<_>>().join(", ");
    probe::insert(&mlir.context, &imported, &probes, None, mode).unwrap();
    assert_ne!(text(&imported), before);
    strip_probes(&mlir.context, &imported);
    assert_eq!(text(&imported), before, "{} on {}", names(), path.display());

    let (converted, _) = lower::insert_late(&mlir, &code, &probes, mode).unwrap();
    assert!(!converted.as_operation().to_string().contains("kprobe."), "{} on {}", names(), path.display());
    true
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

#[test]
fn the_probes_of_a_build_keep_the_laws_together() {
    for (path, mode) in examples().iter().zip([Mode::Aggregate, Mode::Trace].into_iter().cycle()) {
        for probes in builds() {
            check_together(path, &probes, mode);
        }
    }
}

fn check_all(mode: Mode) {
    let examples = examples();
    for probe in probes::ALL {
        let check = match probe.level() {
            Level::Structured => check_structured,
            Level::Optimized => check_optimized,
        };
        let watched = examples.iter().filter(|path| check(path, *probe, mode)).count();
        assert!(watched > 0, "{} found nothing to watch in any example", probe.name());
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

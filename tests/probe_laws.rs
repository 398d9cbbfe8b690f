//! What holds for every probe, over every example: insert then strip is the identity, and no `kprobe` op
//! survives conversion. A new probe is covered by being in its folder.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use inkwell::{context::Context, module::Module as LlvmModule};
use kinstr::{
    codegen::{self, machine::Machine},
    frontend::{
        Language, Source,
        c::{self, Markers},
        llvm_ir, mlir,
    },
    lower::{self, LowerError, Mlir},
};
use kinstr_passes::{
    probe::{self, Level, Probe, ProbeError},
    probes,
    transforms::strip_probes::strip_probes,
};
use kinstr_trace::layout::Mode;
use melior::ir::Module;
use std::path::PathBuf;

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

fn text(module: &Module<'_>) -> String {
    module.as_operation().to_string()
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
fn check_structured(source: &Source, probe: &dyn Probe, mode: Mode) -> bool {
    if source.language != Language::Mlir {
        // There is no structure in it.
        return false;
    }
    let (mlir, path) = (Mlir::new().unwrap(), &source.path);
    let (mut module, rest) = structured(&mlir, source);
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
    assert!(!text(&module.module).contains("kprobe."), "{} on {}", probe.name(), path.display());
    true
}

/// A probe that finds nothing to watch has touched nothing; any other error fails the test.
fn found_nothing(error: &ProbeError, before: &str, module: &Module<'_>) -> bool {
    assert!(matches!(error, ProbeError::NothingToWatch { .. }), "{error}");
    assert_eq!(text(module), before);
    false
}

/// Answers whether the probe found something to watch.
fn check_optimized(source: &Source, probe: &dyn Probe, mode: Mode) -> bool {
    let (mlir, path) = (Mlir::new().unwrap(), &source.path);
    let llvm = codegen::context();
    let code = optimized(&mlir, source, &llvm);

    let imported = lower::import(&mlir, &code).unwrap();
    let before = text(&imported);
    if let Err(error) = probe::insert(&mlir.context, &imported, &[probe], None, mode) {
        return found_nothing(&error, &before, &imported);
    }
    assert_ne!(text(&imported), before);
    strip_probes(&mlir.context, &imported);
    assert_eq!(text(&imported), before, "{} on {}", probe.name(), path.display());

    let (converted, _) = lower::insert_late(&mlir, &code, &[probe], mode).unwrap();
    assert!(!text(&converted).contains("kprobe."), "{} on {}", probe.name(), path.display());
    true
}

fn check_all(mode: Mode) {
    let examples = examples();
    for probe in probes::ALL {
        let check = match probe.level() {
            Level::Structured => check_structured,
            Level::Optimized => check_optimized,
        };
        let watched = examples.iter().filter(|source| check(source, *probe, mode)).count();
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

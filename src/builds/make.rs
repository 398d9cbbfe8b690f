//! Making the builds, in an empty directory.

use super::{
    Build, BuildError, Instrumented, Manifest, Probes,
    job::STACK,
    ledger::{Kind, Ledger, UNFINISHED},
    optimize::{Early, Optimized, optimized, optimized_with},
};
use crate::{
    codegen::{self, assembly, link::Libraries, machine::Machine},
    frontend::{FrontendError, Source},
    lower::{self, LowerError, Mlir},
    store::StoreError,
};
use kinstr_passes::{
    context::Message,
    ffi,
    probe::{self, Level, Probe, ProbeError},
};
use kinstr_trace::{
    layout::Mode,
    sites::{Choice, Place, SiteTable},
};
use melior::ir::Module;
use std::path::Path;

/// Writes every build of `source` and the manifest into `dir`. What is timed and what is counted or observed are built side
/// by side, each in MLIR and LLVM contexts of its own. The verdict rests on the clean build alone: how an instrumented
/// one fails is told in its place.
pub fn make(source: &Source, probes: &Probes, dir: &Path) -> Result<(), BuildError> {
    let ledger = Ledger::new(dir, None);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let timed =
            thread.spawn_scoped(scope, || make_timed(source, &find(&probes.timing), None, dir, &ledger));
        let timed = timed.map_err(FrontendError::System)?;
        make_late(source, probes, dir, &ledger)?;
        // A panic of the other thread goes on in this one.
        timed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Writes timing builds with the sites of `choice` alone, and a manifest that says the rest as `manifest` does.
pub fn make_chosen(
    source: &Source,
    probes: &Probes,
    choice: &Choice,
    manifest: Manifest,
    dir: &Path,
) -> Result<(), BuildError> {
    let unfinished = || Instrumented::Unavailable(UNFINISHED.into());
    let ledger =
        Ledger::new(dir, Some(Manifest { timing: unfinished(), timeline: unfinished(), ..manifest }));
    make_timed(source, &find(&probes.timing), Some(choice), dir, &ledger)
}

/// The clean build, and what is made of its code.
fn make_late(source: &Source, probes: &Probes, dir: &Path, ledger: &Ledger<'_>) -> Result<(), BuildError> {
    let maker = Maker::new(source, dir)?;
    let llvm = codegen::context();
    let Optimized { code, convention, entry } = optimized(source, &maker.mlir, &maker.machine, &llvm)?;
    codegen::name_blocks(&code);
    let clean = maker.emit(&code, "clean", None)?;
    let threads = source.directives.threads.unwrap_or(1);
    ledger.begin(entry, convention, threads, clean)?;
    let counting = maker.late(&find(&probes.counting), "counting", &code, &llvm);
    ledger.set(Kind::Counting, counting)?;
    let observing = maker.late(&find(&probes.observing), "observing", &code, &llvm);
    ledger.set(Kind::Observing, observing)
}

/// Both builds with timing probes: aggregates, and every event.
fn make_timed(
    source: &Source,
    probes: &[&dyn Probe],
    choice: Option<&Choice>,
    dir: &Path,
    ledger: &Ledger<'_>,
) -> Result<(), BuildError> {
    let maker = Maker::new(source, dir)?;
    let llvm = codegen::context();
    ledger.set(Kind::Timing, maker.timing(probes, choice, Mode::Aggregate, "timing", &llvm))?;
    ledger.set(Kind::Timeline, maker.timing(probes, choice, Mode::Trace, "timeline", &llvm))
}

pub(super) fn find(names: &[String]) -> Vec<&'static dyn Probe> {
    names.iter().filter_map(|name| probe::find(name)).collect()
}

pub(super) fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), BuildError> {
    let path = dir.join(name);
    std::fs::write(&path, bytes).map_err(|error| StoreError::new("write", &path, error).into())
}

struct Maker<'a> {
    source: &'a Source,
    machine: Machine,
    dir: &'a Path,
    mlir: Mlir,
}

type Llvm<'l> = inkwell::module::Module<'l>;

impl<'a> Maker<'a> {
    fn new(source: &'a Source, dir: &'a Path) -> Result<Self, BuildError> {
        Ok(Self { source, machine: Machine::native()?, dir, mlir: Mlir::new()? })
    }

    /// Region markers go in early, so that the whole way down is walked again with them; loops are timed late, in the
    /// code the optimiser made.
    fn timing(
        &self,
        probes: &[&dyn Probe],
        choice: Option<&Choice>,
        mode: Mode,
        name: &str,
        llvm: &inkwell::context::Context,
    ) -> Result<Instrumented, BuildError> {
        if probes.is_empty() {
            return Ok(Instrumented::Unavailable("no timing probe was asked for".into()));
        }
        let (structured, optimized): (Vec<_>, Vec<_>) =
            probes.iter().copied().partition(|probe| probe.level() == Level::Structured);
        // What C marks is found in its optimised code, and before the loops around it are.
        let late = match self.source.may_hold_markers() {
            true => [structured.as_slice(), &optimized].concat(),
            false => optimized,
        };
        let early = Early { probes: &structured, mode, choice };
        let (code, regions) = match optimized_with(&early, self.source, &self.mlir, &self.machine, llvm) {
            Ok(instrumented) => instrumented,
            Err(BuildError::Lower(error)) => return unavailable(error),
            Err(other) => return Err(other),
        };
        let (module, sites) = match lower::insert_timing(&self.mlir, &code, regions, &late, choice) {
            Ok(inserted) => inserted,
            Err(error) => return unavailable(error),
        };
        let instrumented = lower::to_llvm_ir(&self.mlir, &module, llvm)?;
        codegen::inline_probes(&instrumented, &code, &self.machine)?;
        Ok(Instrumented::Built(self.emit(&instrumented, name, Some(demangled(sites)))?))
    }

    /// What counts or observes goes in late, into the code that the clean build runs.
    fn late(
        &self,
        probes: &[&dyn Probe],
        name: &str,
        clean: &Llvm<'_>,
        llvm: &inkwell::context::Context,
    ) -> Result<Instrumented, BuildError> {
        if probes.is_empty() {
            return Ok(Instrumented::Unavailable(format!("no {name} probe was asked for")));
        }
        let (module, sites) = match self.insert_late(clean, probes.to_vec()) {
            Ok(inserted) => inserted,
            Err(error) => return unavailable(error),
        };
        let code = lower::to_llvm_ir(&self.mlir, &module, llvm)?;
        codegen::inline_probes(&code, clean, &self.machine)?;
        Ok(Instrumented::Built(self.emit(&code, name, Some(sites))?))
    }

    /// A probe that finds nothing to watch is left out, unless it is the last: a kernel without branches still has
    /// its memory accesses observed.
    fn insert_late(
        &self,
        clean: &Llvm<'_>,
        mut probes: Vec<&dyn Probe>,
    ) -> Result<(Module<'_>, SiteTable), LowerError> {
        loop {
            match lower::insert_late(&self.mlir, clean, &probes, Mode::Aggregate) {
                Err(LowerError::Probe(ProbeError::NothingToWatch { probe, .. })) if probes.len() > 1 => {
                    probes.retain(|kept| kept.name() != probe);
                }
                inserted => return inserted,
            }
        }
    }

    fn emit(&self, code: &Llvm<'_>, name: &str, sites: Option<SiteTable>) -> Result<Build, BuildError> {
        let assembly = codegen::emit_assembly(code, &self.machine)?;
        write(self.dir, &format!("{name}.s"), assembly.as_bytes())?;
        let library = format!("{name}.so");
        let object = codegen::assemble(&assembly, &self.machine)?;
        codegen::write_library(&object, &self.dir.join(&library), Libraries::wanted_by(code))?;
        let sites = sites.map(|sites| relocate_sites(self.source, sites));
        Ok(Build { library, assembly: assembly::facts(&assembly), sites, kernels: Vec::new() })
    }
}

/// Loops of C++ functions under the names that their author gave these.
fn demangled(mut sites: SiteTable) -> SiteTable {
    for site in &mut sites.sites {
        let rest = site.name.strip_prefix(&site.function).filter(|rest| rest.starts_with(':'));
        if let (Some(rest), Some(name)) = (rest, ffi::function_name(&site.function)) {
            site.name = format!("{name}{rest}");
        }
    }
    sites
}

/// Debug information keeps a file's name and loses its folder: a place gets back the path the user gave.
pub(super) fn relocate(source: &Source, place: Option<Place>) -> Option<Place> {
    place.map(|place| match place.file == source.file_name() {
        true => Place { file: source.path.to_string_lossy().into_owned(), ..place },
        false => place,
    })
}

/// The same of every place of a table.
pub(super) fn relocate_sites(source: &Source, mut sites: SiteTable) -> SiteTable {
    let places = sites.sites.iter_mut().flat_map(|site| {
        std::iter::once(&mut site.place).chain(site.lines.iter_mut().map(|line| &mut line.place))
    });
    places.for_each(|place| *place = relocate(source, place.take()));
    sites
}

/// A probe with nothing to watch leaves its layer unavailable; anything else is an error.
pub(super) fn unavailable(error: LowerError) -> Result<Instrumented, BuildError> {
    match error {
        LowerError::Probe(reason @ ProbeError::NothingToWatch { .. }) => {
            Ok(Instrumented::Unavailable(reason.to_string()))
        }
        nothing @ LowerError::NothingToTime { .. } => Ok(Instrumented::Unavailable(nothing.to_string())),
        LowerError::Import { messages } => {
            let reason = messages.first().map_or("MLIR gave no reason".to_owned(), in_one_line);
            Ok(Instrumented::Unavailable(format!("the optimised code could not be imported: {reason}")))
        }
        other => Err(other.into()),
    }
}

/// MLIR quotes instructions as LLVM prints them, over several lines.
fn in_one_line(message: &Message) -> String {
    let line = message.place.iter().map(|place| format!("{}:{}:", place.file, place.line));
    line.chain(message.text.split_whitespace().map(str::to_owned)).collect::<Vec<_>>().join(" ")
}

//! The manifest while builds are made: on disk as soon as the clean build is there, and again with each one more, so that
//! whatever ends the process costs what it was making and no more.

use super::{Build, BuildError, Convention, Instrumented, MANIFEST, Manifest, job};
use crate::{complaint::Complaint, store::write_atomically, target::Target};
use kinstr_trace::report::Fault;
use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Stands for the reason of a build that is being made. No manifest in the store has it.
pub(super) const UNFINISHED: &str = "unfinished";

/// The builds with probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Timing,
    Timeline,
    Counting,
    Observing,
}

/// What is known of a manifest, by several threads.
pub(super) struct Ledger<'a> {
    dir: &'a Path,
    known: Mutex<Known>,
}

struct Known {
    /// Once there is a clean build.
    manifest: Option<Manifest>,
    /// What was made before it.
    early: Vec<(Kind, Instrumented)>,
}

impl<'a> Ledger<'a> {
    /// With no build but those of `manifest`.
    pub fn new(dir: &'a Path, manifest: Option<Manifest>) -> Self {
        Self { dir, known: Mutex::new(Known { manifest, early: Vec::new() }) }
    }

    /// Notes the clean build.
    pub fn begin(
        &self,
        entry: String,
        convention: Convention,
        threads: u32,
        clean: Build,
    ) -> Result<(), BuildError> {
        let unfinished = || Instrumented::Unavailable(UNFINISHED.into());
        let mut manifest = Manifest {
            entry,
            convention,
            threads,
            target: Target::Cpu,
            clean,
            timing: unfinished(),
            timeline: unfinished(),
            counting: unfinished(),
            observing: unfinished(),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, build) in std::mem::take(&mut known.early) {
            *place(&mut manifest, kind) = build;
        }
        write(self.dir, known.manifest.insert(manifest))
    }

    /// Notes an instrumented build. That it failed is an error only where the machine did.
    pub fn set(&self, kind: Kind, made: Result<Instrumented, BuildError>) -> Result<(), BuildError> {
        let build = match made {
            Ok(build) => build,
            Err(error) if error.fault() == Fault::Infrastructure => return Err(error),
            Err(error) => {
                Instrumented::Unavailable(format!("its build fails: {}", Complaint::from(&error).summary()))
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(manifest) = &mut known.manifest else {
            known.early.push((kind, build));
            return Ok(());
        };
        *place(manifest, kind) = build;
        write(self.dir, manifest)
    }
}

fn place(manifest: &mut Manifest, kind: Kind) -> &mut Instrumented {
    match kind {
        Kind::Timing => &mut manifest.timing,
        Kind::Timeline => &mut manifest.timeline,
        Kind::Counting => &mut manifest.counting,
        Kind::Observing => &mut manifest.observing,
    }
}

fn write(dir: &Path, manifest: &Manifest) -> Result<(), BuildError> {
    Ok(write_atomically(&dir.join(MANIFEST), &job::to_json(dir, manifest)?)?)
}

/// What is left of an ended process in `dir`: if that holds a clean build, the others that are not there say `reason`.
/// Answers whether it does.
pub(super) fn close(dir: &Path, reason: &str) -> Result<bool, BuildError> {
    let Ok(mut manifest) = job::read::<Manifest>(dir, MANIFEST) else { return Ok(false) };
    for kind in [Kind::Timing, Kind::Timeline, Kind::Counting, Kind::Observing] {
        let build = place(&mut manifest, kind);
        if matches!(build, Instrumented::Unavailable(known) if known == UNFINISHED) {
            *build = Instrumented::Unavailable(format!("its build fails: {reason}"));
        }
    }
    write(dir, &manifest)?;
    Ok(true)
}

/// As [`close`], where no instrumented build was made because an attempt at all of them ended before the clean one.
pub(super) fn close_without_probes(dir: &Path, reason: &str) -> Result<(), BuildError> {
    let mut manifest: Manifest = job::read(dir, MANIFEST)?;
    for kind in [Kind::Timing, Kind::Timeline, Kind::Counting, Kind::Observing] {
        *place(&mut manifest, kind) = Instrumented::Unavailable(format!("its build fails: {reason}"));
    }
    write(dir, &manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codegen::assembly::AssemblyFacts, frontend::FrontendError};

    fn begin(ledger: &Ledger<'_>) {
        let clean = Build {
            library: "clean.so".into(),
            assembly: AssemblyFacts::default(),
            sites: None,
            kernels: vec![],
        };
        ledger.begin("f".into(), Convention::Pointers, 1, clean).unwrap();
    }

    fn failed() -> BuildError {
        FrontendError::Compiler { path: "k.c".into(), reason: "takes too long".into() }.into()
    }

    #[test]
    fn what_ends_the_process_costs_what_it_was_making() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!close(dir.path(), "it crashed").unwrap(), "no clean build, nothing to keep");
        let ledger = Ledger::new(dir.path(), None);
        ledger.set(Kind::Timing, Err(failed())).unwrap();
        begin(&ledger);
        ledger.set(Kind::Counting, Ok(Instrumented::Unavailable("no blocks".into()))).unwrap();
        assert!(close(dir.path(), "it crashed").unwrap());
        let manifest: Manifest = job::read(dir.path(), MANIFEST).unwrap();
        let because = |build: Instrumented| match build {
            Instrumented::Unavailable(reason) => reason,
            Instrumented::Built(_) => "built".into(),
        };
        assert_eq!(because(manifest.timing), "its build fails: compiling k.c takes too long");
        assert_eq!(because(manifest.timeline), "its build fails: it crashed");
        assert_eq!(because(manifest.counting), "no blocks");
        assert_eq!(because(manifest.observing), "its build fails: it crashed");
    }

    #[test]
    fn a_machine_that_fails_is_no_reason_of_a_build() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(dir.path(), None);
        begin(&ledger);
        let full = FrontendError::System(std::io::ErrorKind::StorageFull.into());
        assert!(ledger.set(Kind::Timing, Err(full.into())).is_err());
    }
}

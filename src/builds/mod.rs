//! The builds of one candidate: clean, with timing probes, with counting probes, with observing probes. Time
//! comes from the clean one.

mod complain;
mod confined;
mod device;
mod job;
mod ledger;
mod make;
pub mod optimize;
mod replay;

pub use confined::{LLVM_ENDED, SUBCOMMAND};
pub use job::{Refusal, perform, with_stack};

use crate::{
    codegen::{CodegenError, assembly::AssemblyFacts, cuda::Tools, machine::Machine},
    complaint::Complaint,
    frontend::{
        self, FrontendError, Language, Source,
        signature::Written,
        triton::{Stages, TritonError},
    },
    lower::LowerError,
    store::{Store, StoreError, Stored, build_identity, digest},
    target::Target,
};
use job::Work;
use kinstr_trace::{
    device::KernelResources,
    sites::{Choice, SiteTable},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Why a candidate has no build.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each wraps the error of a module that documents it")]
pub enum BuildError {
    #[error(transparent)]
    Frontend(#[from] FrontendError),
    #[error(transparent)]
    Dialect(#[from] kinstr_dialects::LoadError),
    #[error(transparent)]
    Lower(#[from] LowerError),
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Triton(#[from] TritonError),
    /// The compiling process refused the candidate.
    #[error("{}", .0.complaint)]
    Refused(Box<Refusal>),
    /// No builds of this language for this target.
    #[error("candidates in {} are not built for `{target}` in this version", language.name())]
    Target { target: Target, language: Language },
    /// The cached manifest is damaged.
    #[error("the cached build in {} is damaged: {reason}", dir.display())]
    Damaged { dir: PathBuf, reason: String },
}

/// Which probes go into a candidate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probes {
    /// Timing probes by name; those of the structured level go in early, the others late.
    pub timing: Vec<String>,
    /// Counting probes by name; optimised level.
    pub counting: Vec<String>,
    /// Observing probes by name; optimised level.
    pub observing: Vec<String>,
}

/// What an evaluation observes.
const OBSERVING: [&str; 3] = ["memory-access", "cache-footprint", "branch-outcome"];

/// What an evaluation times and observes on a GPU.
const GPU_TIMING: [&str; 5] = ["region-time", "block-timeline", "loop-time", "barrier-wait", "async-wait"];
const GPU_OBSERVING: [&str; 2] = ["memory-access", "divergence"];

impl Default for Probes {
    fn default() -> Self {
        Self {
            timing: ["region-time", "loop-time", "thread-timeline"].map(String::from).into(),
            counting: vec!["block-count".into()],
            observing: OBSERVING.map(str::to_owned).to_vec(),
        }
    }
}

impl Probes {
    /// What an evaluation on `target` inserts.
    pub fn on(target: &Target) -> Self {
        match target {
            Target::Cpu => Self::default(),
            Target::Cuda { .. } => Self {
                timing: GPU_TIMING.map(str::to_owned).into(),
                counting: vec!["block-count".into()],
                observing: GPU_OBSERVING.map(str::to_owned).into(),
            },
        }
    }

    /// No probes at all: what a reference in MLIR needs.
    pub fn none() -> Self {
        Self { timing: Vec::new(), counting: Vec::new(), observing: Vec::new() }
    }
}

/// One shared library made of a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// File name of the library in the artifact's directory; its assembly stands beside it as `.s`.
    pub library: String,
    /// What its assembly says; nothing is read from the host code of a candidate for a GPU.
    pub assembly: AssemblyFacts,
    /// Its sites; `None` for the clean build.
    pub sites: Option<SiteTable>,
    /// Its kernels on a GPU, whose code stands beside the library as `.ptx`; none on the CPU.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<KernelResources>,
}

/// An instrumented build, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instrumented {
    /// It was built.
    Built(Build),
    /// The probes found nothing to watch, or could not be inserted.
    Unavailable(String),
}

impl Instrumented {
    /// The build, if there is one.
    pub fn build(&self) -> Option<&Build> {
        match self {
            Self::Built(build) => Some(build),
            Self::Unavailable(_) => None,
        }
    }
}

/// How an entry takes its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// MLIR's: descriptors of memrefs, and scalars by value.
    Memrefs {
        /// Whether each argument is passed by value.
        scalars: Vec<bool>,
    },
    /// C's: a pointer for each input and output, then the size of every variable axis as `int64_t`.
    Pointers,
}

impl Convention {
    /// True if an argument depends on what is in an input.
    pub fn passes_inputs_by_value(&self) -> bool {
        matches!(self, Self::Memrefs { scalars } if scalars.contains(&true))
    }
}

/// What stands in `manifest.json` of an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the entry: inputs, then outputs.
    pub entry: String,
    /// How it takes its arguments.
    pub convention: Convention,
    /// Threads it may run on.
    pub threads: u32,
    /// What it is built for.
    #[serde(default)]
    pub target: Target,
    /// Clean.
    pub clean: Build,
    /// With timing probes.
    pub timing: Instrumented,
    /// With timing probes that record every event.
    pub timeline: Instrumented,
    /// With counting probes.
    pub counting: Instrumented,
    /// With observing probes.
    pub observing: Instrumented,
}

/// Name of the manifest's file.
const MANIFEST: &str = "manifest.json";

impl Manifest {
    fn builds(&self) -> Vec<&Build> {
        let late = [&self.counting, &self.observing].into_iter().filter_map(|late| late.build());
        std::iter::once(&self.clean).chain(late).chain(self.timing_builds()).collect()
    }

    fn timing_builds(&self) -> Vec<&Build> {
        [&self.timing, &self.timeline].into_iter().filter_map(|timing| timing.build()).collect()
    }
}

/// All builds of one candidate.
#[derive(Debug, Clone)]
pub struct Builds {
    /// Directory of the artifact.
    pub dir: PathBuf,
    /// Digest of its inputs.
    pub digest: String,
    /// True if it was in the store already.
    pub reused: bool,
    /// What is in it.
    pub manifest: Manifest,
}

impl Builds {
    /// Path of a build's assembly.
    pub fn assembly(&self, build: &Build) -> PathBuf {
        self.library(build).with_extension("s")
    }

    /// Path of a build's library.
    pub fn library(&self, build: &Build) -> PathBuf {
        self.dir.join(&build.library)
    }
}

/// The entry as written, from parsing or compiling alone: what is checked against the problem before anything is built.
///
/// # Errors
/// [`BuildError`].
pub fn written_signature(source: &Source, store: &Store) -> Result<Written, BuildError> {
    examined(source, store).map(|examined| examined.value)
}

/// The entry as written, and beside it what another compiler made of the candidate.
fn examined(source: &Source, store: &Store) -> Result<Stored<Written>, BuildError> {
    let digest = digest_of(source, "examined")?;
    store.read_or_make(&digest, |dir| examine(source, dir), |dir| job::read(dir, job::EXAMINED))
}

fn examine(source: &Source, dir: &Path) -> Result<(), BuildError> {
    for (markers, name) in job::bitcode_of(source) {
        let bitcode = frontend::c::bitcode(source, markers).map_err(|error| shown(error, source))?;
        let path = dir.join(name);
        std::fs::write(&path, bitcode).map_err(|error| StoreError::new("write", &path, error))?;
    }
    confined::compile(source, Work::Examine, dir)
}

/// `error` with the lines of `source` that it is about.
fn shown(error: FrontendError, source: &Source) -> BuildError {
    let error = BuildError::from(error);
    let complaint = source.show(Complaint::from(&error));
    BuildError::Refused(Box::new(Refusal { fault: error.fault(), complaint }))
}

/// Builds `source` for `target`, or takes the builds from `store`.
///
/// # Errors
/// [`BuildError`].
pub fn build(source: &Source, probes: &Probes, store: &Store, target: &Target) -> Result<Builds, BuildError> {
    let tools = tools_for(source, target)?;
    let digest = digest_of(source, &format!("{target} {tools:?} {probes:?}"))?;
    let examined = examined_in(source, store)?;
    let work = || Work::Build {
        probes: probes.clone(),
        target: target.clone(),
        tools: tools.clone(),
        examined: examined.clone(),
    };
    take(source, digest, work, Manifest::builds, store)
}

/// `builds` with other timing builds, which hold the sites of `choice` alone; from `store` if they are there. Only the
/// timing builds are in the directory of the result.
///
/// # Errors
/// [`BuildError`].
pub fn with_choice(
    source: &Source,
    probes: &Probes,
    choice: &Choice,
    builds: &Builds,
    store: &Store,
) -> Result<Builds, BuildError> {
    let tools = tools_for(source, &builds.manifest.target)?;
    let keys = choice.0.iter().map(String::as_bytes);
    let digest = digest([builds.digest.as_bytes()].into_iter().chain(keys));
    let examined = examined_in(source, store)?;
    let work = || Work::Choose {
        probes: probes.clone(),
        choice: choice.clone(),
        manifest: Box::new(builds.manifest.clone()),
        tools: tools.clone(),
        examined: examined.clone(),
    };
    take(source, digest, work, Manifest::timing_builds, store)
}

/// Looked for here: the compiling process has no environment to look at.
fn tools_for(source: &Source, target: &Target) -> Result<Tools, BuildError> {
    Ok(match target {
        Target::Cpu => Tools::default(),
        // Triton has an assembler of its own.
        Target::Cuda { .. } if source.language == Language::Launches => {
            Tools { triton: Some(Stages::find()?), ..Tools::default() }
        }
        Target::Cuda { .. } => Tools::find(),
    })
}

/// Where what another compiler made of the candidate is, if one did.
fn examined_in(source: &Source, store: &Store) -> Result<PathBuf, BuildError> {
    match source.language {
        Language::Launches => Ok(PathBuf::new()),
        _ => Ok(examined(source, store)?.dir),
    }
}

fn take(
    source: &Source,
    digest: String,
    work: impl Fn() -> Work,
    wanted: fn(&Manifest) -> Vec<&Build>,
    store: &Store,
) -> Result<Builds, BuildError> {
    let make = |dir: &Path| confined::compile(source, work(), dir);
    let Stored { value: manifest, dir, reused } =
        store.read_or_make(&digest, make, |dir| read_manifest(dir, wanted))?;
    Ok(Builds { dir, digest, reused, manifest })
}

fn digest_of(source: &Source, of: &str) -> Result<String, BuildError> {
    let identity = build_identity();
    let machine = Machine::native()?.describe();
    let path = source.path.to_string_lossy();
    let entry = source.directives.entry.as_deref().unwrap_or_default();
    let parts: [&str; 6] = [&identity, &machine, &path, &source.text, entry, of];
    Ok(digest(parts.map(str::as_bytes)))
}

/// The manifest, if the libraries of the `wanted` builds are there.
fn read_manifest(dir: &Path, wanted: fn(&Manifest) -> Vec<&Build>) -> Result<Manifest, BuildError> {
    let manifest: Manifest = job::read(dir, MANIFEST)?;
    let missing = |build: &&&Build| !dir.join(&build.library).is_file();
    match wanted(&manifest).iter().find(missing) {
        None => Ok(manifest),
        Some(build) => {
            Err(BuildError::Damaged { dir: dir.into(), reason: format!("{} is missing", build.library) })
        }
    }
}

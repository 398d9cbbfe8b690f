//! One evaluation: a candidate against a problem, stage by stage.
//!
//! Every stage leaves events and record files in the evaluation's directory; the report is folded from them. A
//! stage that an earlier, killed run finished is not run again.

mod arguments;
mod baseline;
mod budget;
mod certificate;
mod check;
mod choice;
mod destination;
mod device;
mod failure;
mod fit;
mod measure;
mod model;
mod peaks;
mod python;
mod records;
mod reference;
mod renewed;
mod room;
mod session;
mod stages;
mod subject;
mod system;
mod timeline;

pub use destination::Destination;
pub use failure::{EvalError, StageFailure};
pub use session::Observer;

use crate::{jobs::fold::fold, store::Store};
use kinstr_trace::{layout::Keep, report::Report};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What to evaluate, and how long it may take.
#[derive(Debug, Clone)]
pub struct Options {
    /// Candidate file.
    pub candidate: PathBuf,
    /// Problem file.
    pub problem: PathBuf,
    /// Target: `cpu`, or `cuda:N`.
    pub target: String,
    /// Directory for events, records, report and trace.
    pub dir: PathBuf,
    /// Time for measuring all workloads together, the certificate included.
    pub budget: Duration,
    /// Stop earlier when half the 95 % interval of the speedup is narrower than this fraction of it.
    pub half_width: f64,
    /// Seeds a workload is checked with.
    pub seeds: u32,
    /// Time for one request to the candidate's worker.
    pub timeout: Duration,
    /// Bytes a candidate may allocate.
    pub memory: u64,
    /// Which records of a thread the timeline keeps, if there are more than it has room for.
    pub timeline_keep: Keep,
    /// What timing probes may cost, as part of the clean time; no limit if absent.
    pub overhead: Option<f64>,
    /// Whether `torch.compile` of the reference is timed as well.
    pub compiled: bool,
    /// Where builds are kept.
    pub store: Store,
}

/// A finished evaluation.
#[derive(Debug)]
pub struct Outcome {
    /// Its report, in full.
    pub report: Report,
    /// What failed, if a stage did, ready to be shown.
    pub failure: Option<crate::complaint::Complaint>,
    /// Name of the candidate: a solution's own, or its file's.
    pub name: String,
    /// True if all of it was done before, so that nothing was run.
    pub was_done: bool,
}

/// Evaluates. Whatever the candidate does is in the report.
///
/// # Errors
/// [`EvalError`] where there is nothing to report on: the problem or the candidate cannot be read, the reference
/// fails, or the machine does.
pub fn evaluate(options: &Options, observer: &mut dyn Observer) -> Result<Outcome, EvalError> {
    let mut session = session::Session::begin(options, observer)?;
    let was_done = session.is_judged();
    let failure = stages::run(&mut session)?;
    let report = fold(session.log.events(), session.log.dir());
    Ok(Outcome { report, failure, name: session.source.name(), was_done })
}

/// The report of an evaluation from its directory alone.
///
/// # Errors
/// [`EvalError::Store`] if there is no event log in it.
pub fn replay(dir: &Path) -> Result<Report, EvalError> {
    let events = crate::jobs::log::read(&dir.join(crate::jobs::log::FILE))?;
    Ok(fold(&events, dir))
}

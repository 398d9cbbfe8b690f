//! Branches go where nobody can foresee, and the work begun on the wrong side is thrown away.
//!
//! ## What it means
//! A branch depends on data, and its outcomes follow no pattern. Each time the processor guesses wrongly, it
//! empties its pipeline and starts again on the other side, which costs as much as dozens of instructions.
//!
//! ## Evidence
//! Outcomes of every branch: how often it ran, was taken and changed; how often a predictor with two levels and eight
//! outcomes of history was wrong; the measured cost of a wrong prediction.
//!
//! ## When it fires
//! Wrong predictions times their cost are so large a part of the time that avoiding them would gain 10 %, and not more than all
//! of it: over few outcomes, the same in each launch, a processor learns by heart what the modelled predictor cannot. A
//! branch that runs less than 256 times a launch does not count, and of any other what a predictor gets wrong that
//! begins with nothing: the times are those of many launches, of which one was observed.
//!
//! ## Potential
//! Time over time without the wrong predictions. Where an unforeseeable branch inside a scalar loop takes a large part
//! of the time, also without the scalar code, as `unvectorised` estimates it: the branch is what keeps the loop from
//! being vectorised. At most time over roofline floor.
//!
//! ## What to try
//! Compute both sides and select (`arith.select`, `min`, `max`, a mask), which also lets the loop be vectorised; a table in
//! place of a switch; sort or partition the data by the condition before.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::observed::BranchRow;
use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;

/// Stable code.
pub const CODE: &str = "KI0012";
/// Peaks and observed branches.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Branches];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "branch-misprediction-bound";
/// Least estimated gain.
const GAIN: f64 = 1.1;
/// Part of the time that wrong predictions are taken to be at most: the rest is the work itself.
const MOST: f64 = 0.9;
/// Part of the time above which the branch is the matter, and the scalar code around it its consequence.
const LARGE: f64 = 0.2;
/// Least runs a launch and thread: below, the observed launch says more about how the modelled predictor begins than
/// about the branch. It has 256 histories to learn.
const LEAST_RUNS: f64 = 256.0;
/// Wrong predictions of a branch that always goes the same way, by a predictor that begins with nothing: eight outcomes until
/// the history is full, two until its counter turns.
const WARM_UP: f64 = 10.0;
/// Runs a launch and thread from which a processor cannot know the outcomes by heart.
const MANY_RUNS: f64 = 16384.0;
/// Wrong predictions a run from which no other predictor could do much better: close to a coin's half.
const HOPELESS: f64 = 0.2;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let branches = workload.branches.as_ref()?;
    let point = RooflinePoint::of(workload, peaks)?;
    let time = workload.seconds()?;
    let threads = workload.threads();
    let launches = f64::from(branches.launches.max(1));
    let wrong = |row: &BranchRow| lasting_mispredictions(row, launches, threads);
    let worst = branches.rows.iter().max_by(|a, b| wrong(a).total_cmp(&wrong(b)))?;
    let mispredictions: f64 = branches.rows.iter().map(wrong).sum();
    let cost = peaks.mispredict_ns * 1e-9 / launches / threads;
    let share = mispredictions * cost / time;
    if share > 1.0 {
        return None;
    }
    let rate = wrong(worst) / worst.executions.max(1) as f64;
    let keeps_scalar = worst.loop_depth > 0 && rate >= HOPELESS && share >= LARGE;
    let vectors = if keeps_scalar { super::unvectorised::judge(workload, peaks) } else { None };
    let vector_gain = vectors.map_or(1.0, |diagnosis| diagnosis.potential.speedup);
    let speedup = (vector_gain / (1.0 - share.min(MOST))).min(1.0 / point.fraction);
    if speedup < GAIN {
        return None;
    }
    let few = worst.executions as f64 / launches / threads < MANY_RUNS;
    let (value, why) = match rate >= HOPELESS {
        _ if few => (0.4, "the outcomes of a launch are so few that a processor may know them by heart"),
        true => (0.95, "outcomes are exact, and no pattern is left in them"),
        false => (0.6, "outcomes are exact; a better predictor than the modelled one may foresee some"),
    };
    let place = worst.place.clone();
    let region = place.as_ref().and_then(|place| workload.region_at(place));
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Control,
        severity: Severity::of(speedup),
        confidence: workload.confidence(value, why),
        message: format!(
            "{} is guessed wrongly {:.0} % of the {} times it runs; wrong guesses at {:.1} ns each are {:.0} % of the time",
            what(worst),
            rate * 100.0,
            worst.executions,
            peaks.mispredict_ns,
            share * 100.0,
        ),
        evidence: vec![
            Evidence::new("misprediction-rate", rate, "1", "intra-kernel"),
            Evidence::new("mispredictions", mispredictions, "branches", "intra-kernel"),
            Evidence::new("misprediction-cost", peaks.mispredict_ns, "ns", "peaks"),
            Evidence::new("misprediction-time-share", share, "1", "peaks").against(1.0 - 1.0 / GAIN),
        ],
        region: region.map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: format!(
                "time / time without wrong predictions at their measured cost, times {vector_gain:.1} for vectors that \
                 the branch prevents, at most time / roofline floor"
            ),
        },
        workload: workload.index,
    })
}

/// Wrong predictions that a predictor would still make which has seen the branch before.
fn lasting_mispredictions(row: &BranchRow, launches: f64, threads: f64) -> f64 {
    match row.executions as f64 / launches / threads {
        runs if runs < LEAST_RUNS => 0.0,
        _ => (row.mispredictions as f64 - WARM_UP * threads).max(0.0),
    }
}

fn what(row: &BranchRow) -> String {
    let taken = 100.0 * row.taken as f64 / row.executions.max(1) as f64;
    match row.switch {
        true => "a switch".to_owned(),
        false => format!("a branch that is taken {taken:.0} % of the time"),
    }
}

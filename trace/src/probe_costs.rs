//! What timing probes cost on a GPU, as they were calibrated in a session: by kind, by where they record, and by how full an SM is.

use crate::regions::ProbeCost;
use crate::sites::SiteKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a timing probe of a GPU keeps what it measured while its kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeMemory {
    /// In registers until the kernel returns: builds that add up, on which the report rests.
    Registers,
    /// In device memory, an event at a time: the build of the timeline.
    Global,
}

/// What one interval of a kind of probe costs, in ticks of the SM's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibratedProbe {
    /// Probe.
    pub probe: String,
    /// Kind of its sites.
    pub kind: SiteKind,
    /// Where it records.
    pub memory: ProbeMemory,
    /// Warps that each SM held.
    pub warps: u32,
    /// What the interval includes of it.
    pub inside_ticks: f64,
    /// How far that may be off: half the range of all recordings, and as much as an interval looked shorter than what it times.
    pub inside_error_ticks: f64,
    /// What it adds to the time of the code around, the inside included.
    pub around_ticks: f64,
    /// How far that may be off.
    pub around_error_ticks: f64,
}

/// All that is known of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProbeCosts {
    rows: Vec<CalibratedProbe>,
    /// Of kinds that were not calibrated one by one.
    others: ProbeCost,
}

impl From<Vec<CalibratedProbe>> for ProbeCosts {
    fn from(rows: Vec<CalibratedProbe>) -> Self {
        Self { rows, others: ProbeCost::default() }
    }
}

impl From<ProbeCost> for ProbeCosts {
    /// One cost for all kinds, as earlier versions calibrated it.
    fn from(others: ProbeCost) -> Self {
        Self { rows: Vec::new(), others }
    }
}

impl ProbeCosts {
    /// Cost of a probe that records in registers where an SM holds `warps` warps: on the line through the fewest and the most with which
    /// it was calibrated, because what a warp waits for the probes of others grows with their number.
    pub fn of(&self, kind: SiteKind, warps: f64) -> ProbeCost {
        let rows = || self.rows.iter().filter(|row| row.kind == kind && row.memory == ProbeMemory::Registers);
        let (Some(few), Some(many)) =
            (rows().min_by_key(|row| row.warps), rows().max_by_key(|row| row.warps))
        else {
            return self.others;
        };
        let span = f64::from(many.warps) - f64::from(few.warps);
        let part = if span > 0.0 { ((warps - f64::from(few.warps)) / span).clamp(0.0, 1.0) } else { 0.0 };
        let between = |of: fn(&CalibratedProbe) -> f64| of(few) + part * (of(many) - of(few));
        ProbeCost { inside: between(|row| row.inside_ticks), around: between(|row| row.around_ticks) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: SiteKind, warps: u32, inside_ticks: f64, around_ticks: f64) -> CalibratedProbe {
        CalibratedProbe {
            probe: "some-probe".into(),
            kind,
            memory: ProbeMemory::Registers,
            warps,
            inside_ticks,
            inside_error_ticks: 1.0,
            around_ticks,
            around_error_ticks: 1.0,
        }
    }

    #[test]
    fn a_cost_is_that_of_its_kind_and_grows_with_the_warps_of_an_sm() {
        let global = CalibratedProbe { memory: ProbeMemory::Global, ..row(SiteKind::Loop, 64, 900.0, 900.0) };
        let rows = vec![
            row(SiteKind::Loop, 1, 10.0, 40.0),
            row(SiteKind::Loop, 64, 10.0, 166.0),
            row(SiteKind::Barrier, 1, 2.0, 30.0),
            global,
        ];
        let costs = ProbeCosts::from(rows);
        let around = |kind, warps| costs.of(kind, warps).around;
        assert_eq!(
            [1.0, 2.0, 33.0, 64.0, 99.0].map(|warps| around(SiteKind::Loop, warps)),
            [40.0, 42.0, 104.0, 166.0, 166.0]
        );
        assert_eq!((around(SiteKind::Barrier, 64.0), costs.of(SiteKind::Barrier, 0.0).inside), (30.0, 2.0));
        assert_eq!(
            costs.of(SiteKind::Kernel, 1.0),
            ProbeCost::default(),
            "its clocks are the kernel's first and last"
        );
    }

    #[test]
    fn what_earlier_versions_calibrated_holds_for_every_kind() {
        let cost = ProbeCost { inside: 3.0, around: 90.0 };
        assert_eq!(ProbeCosts::from(cost).of(SiteKind::Barrier, 7.0), cost);
    }
}

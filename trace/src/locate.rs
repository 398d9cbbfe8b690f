//! Questions every rule asks of a workload.

use crate::diagnosis::Confidence;
use crate::sites::Place;
use crate::synthesis::{KernelChange, RegionTime, Role, WorkloadTable};

/// Instrumented over clean time above which the timing build is not the clean kernel's equal. Noise of a shared
/// machine stays below it.
const PERTURBED: f64 = 1.5;

/// What is left of a confidence where hardware events contradict the probes it rests on.
const CONTRADICTED: f64 = 0.6;

/// Registers a thread that timing probes may add to a kernel on a GPU before it counts as another one, and what is left of
/// a confidence beyond.
const REGISTERS: u32 = 8;
const CROWDED: f64 = 0.9;

impl RegionTime {
    /// Times it ran in one launch, rounded down.
    pub fn runs_per_launch(&self) -> u64 {
        self.calls / u64::from(self.launches.max(1))
    }
}

impl WorkloadTable {
    /// Clean time of one launch in seconds; `None` if it was not measured.
    pub fn seconds(&self) -> Option<f64> {
        let ns = self.clean.median_ns;
        (ns.is_finite() && ns > 0.0).then_some(ns * 1e-9)
    }

    /// Units that took part; 1 if nothing counted them.
    pub fn threads(&self) -> f64 {
        self.work.as_ref().map_or(1.0, |work| f64::from(work.units.max(1)))
    }

    /// Elements of all outputs.
    pub fn output_elements(&self) -> u64 {
        let outputs = self.buffers.iter().filter(|buffer| buffer.role == Role::Output);
        outputs.map(|buffer| buffer.elements).sum()
    }

    /// The innermost timed region that begins at `place` or last before it in the same file.
    pub fn region_at(&self, place: &Place) -> Option<&RegionTime> {
        let begins = |region: &RegionTime| {
            let begin = region.place.as_ref().filter(|begin| begin.file == place.file)?;
            (begin.line <= place.line).then_some((begin.line, begin.column))
        };
        let regions = self.regions.iter().flatten().filter(|region| begins(region).is_some());
        regions.max_by_key(|region| begins(region))
    }

    /// The place that speaks for the kernel as a whole: the region with the largest part of its
    /// time, else the line with the most executed work.
    pub fn hot_spot(&self) -> (Option<Place>, Option<String>) {
        let regions = self.regions.iter().flatten().filter(|region| region.place.is_some());
        match regions.max_by(|a, b| a.share.total_cmp(&b.share)) {
            Some(region) => (region.place.clone(), Some(region.name.clone())),
            None => (self.work.as_ref().and_then(|work| work.hottest_line()), None),
        }
    }

    /// `value`, lowered if hardware events contradict the probes or timing probes take many registers of a kernel's, and halved if the
    /// instrumented builds computed something else than the clean one, or if the timing probes made it another kernel, one that
    /// spills or that is more than half as slow again.
    pub fn confidence(&self, value: f64, why: &str) -> Confidence {
        let (value, why) = match self.agreement() {
            None => (value, why.to_owned()),
            Some(found) if found.agree => (value, format!("{why}; {}", found.text)),
            Some(found) => (value * CONTRADICTED, format!("{why}; but {}", found.text)),
        };
        let certificate = self.certificate.as_ref();
        let identical = certificate.and_then(|certificate| certificate.outputs_identical);
        let ratio = certificate.map_or(1.0, |certificate| certificate.ratio);
        match identical {
            Some(false) => Confidence {
                value: value / 2.0,
                why: format!("{why}; but the instrumented outputs differ from the clean ones"),
            },
            _ if ratio > PERTURBED => Confidence {
                value: value / 2.0,
                why: format!("{why}; but timing probes slow this kernel down {ratio:.1} times"),
            },
            _ => self.for_registers(value, why),
        }
    }

    /// For what the timing probes did to the registers of kernels on a GPU.
    fn for_registers(&self, value: f64, why: String) -> Confidence {
        let kernels = || self.certificate.iter().flat_map(|certificate| &certificate.kernels);
        let added = kernels().map(KernelChange::registers_added).max().unwrap_or(0);
        if kernels().any(KernelChange::spills) {
            let why = format!("{why}; but timing probes make this kernel spill registers");
            return Confidence { value: value / 2.0, why };
        }
        if added > REGISTERS {
            let why = format!("{why}; but timing probes take {added} registers a thread more");
            return Confidence { value: value * CROWDED, why };
        }
        Confidence { value, why }
    }
}

//! What rules for a GPU share: what they look at, and how they say what they found.

use super::{DevicePeaks, DeviceTable, KernelTable, Limits};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::sites::Place;
use crate::synthesis::{Tables, WorkloadTable};

/// Gains below this are not worth naming.
const GAIN: f64 = 1.1;

/// One workload on a GPU.
pub(crate) struct Subject<'t> {
    pub(crate) workload: &'t WorkloadTable,
    pub(crate) device: &'t DeviceTable,
    pub(crate) peaks: Option<&'t DevicePeaks>,
    pub(crate) limits: Limits,
}

impl Tables {
    /// What `judge` finds in each workload that ran on a GPU.
    pub(crate) fn judge_devices(&self, judge: fn(&Subject) -> Option<Diagnosis>) -> Vec<Diagnosis> {
        let peaks = self.device_peaks.as_ref();
        let subjects = self.workloads.iter().filter_map(|workload| {
            let device = workload.device.as_ref()?;
            Some(Subject { workload, device, peaks, limits: Limits::of(workload, device, peaks)? })
        });
        subjects.filter_map(|subject| judge(&subject)).collect()
    }
}

impl Subject<'_> {
    /// The most that `judge` finds to gain in one kernel.
    pub(crate) fn worst_kernel(
        &self,
        judge: impl Fn(&Self, &KernelTable) -> Option<Diagnosis>,
    ) -> Option<Diagnosis> {
        let found = self.device.kernels.iter().filter_map(|kernel| judge(self, kernel));
        found.reduce(|best, next| if next.potential.speedup > best.potential.speedup { next } else { best })
    }

    /// Time of a kernel in one call, in ns: no more than the call takes, and all of it where nobody took the time.
    pub(crate) fn kernel_ns(&self, kernel: &KernelTable) -> f64 {
        kernel.device_ns.unwrap_or(self.limits.time_ns).min(self.limits.time_ns)
    }
}

/// What a rule found in one workload on a GPU.
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    /// Degree of belief, and why it is not another.
    pub(crate) confidence: (f64, &'static str),
    pub(crate) message: String,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) place: Option<Place>,
    /// Kernel it sits in; absent for the host's part.
    pub(crate) kernel: Option<String>,
    pub(crate) speedup: f64,
    pub(crate) model: &'static str,
}

impl Finding {
    /// As a diagnosis of `subject`'s workload, if it is worth naming.
    pub(crate) fn on(self, subject: &Subject) -> Option<Diagnosis> {
        (self.speedup >= GAIN).then(|| self.whatever_the_gain(subject))
    }

    /// As a diagnosis of `subject`'s workload.
    pub(crate) fn whatever_the_gain(self, subject: &Subject) -> Diagnosis {
        let (value, why) = self.confidence;
        Diagnosis {
            code: self.code.to_owned(),
            name: self.name.to_owned(),
            class: self.class,
            severity: if self.class == Class::None { Severity::Info } else { Severity::of(self.speedup) },
            confidence: subject.workload.confidence(value, why),
            message: self.message,
            evidence: self.evidence,
            place: self.place,
            region: self.kernel,
            potential: Potential { speedup: self.speedup, model: self.model.to_owned() },
            workload: subject.workload.index,
        }
    }
}

//! What a static model of this CPU's core (llvm-mca) says of the hottest loops of the machine code.

use crate::peaks::Peaks;
use crate::sites::Place;
use crate::synthesis::WorkloadTable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One hot innermost loop of the clean build's machine code. The model takes every load to hit L1 and every branch to be
/// predicted, so its cycles are a least; what the loop takes beyond them is memory or prediction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HotBlock {
    /// `function:block` of the loop's head, as `block-count` labels it.
    pub name: String,
    /// Hottest source line of the loop.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Times the loop's body ran in one launch.
    pub executions: u64,
    /// Its part of all executed instructions, 0 to 1.
    pub share: f64,
    /// CPU whose scheduling model was used, by LLVM's name.
    pub model: String,
    /// Machine instructions of one iteration.
    pub instructions: u32,
    /// Micro-operations of one iteration.
    pub uops: f64,
    /// Cycles an iteration takes in the simulated steady state, dependencies between iterations included.
    pub cycles: f64,
    /// Cycles an iteration would take if nothing waited for a result: its busiest resource, or the width at which
    /// micro-operations are dispatched.
    pub throughput_cycles: f64,
    /// Cycles an iteration would take by throughput if the busiest resource, and its equals, had no work.
    pub relieved_cycles: f64,
    /// Part of the simulated cycles in which results that were not ready held the core back, 0 to 1.
    pub dependency_share: f64,
    /// Part of the simulated cycles in which busy execution resources did, 0 to 1.
    pub resource_share: f64,
    /// Resources with the most cycles an iteration, busiest first; of several equal units the busiest.
    pub resources: Vec<Resource>,
    /// Instructions of the longest chain of registers from one iteration to the next, as AT&T assembly; the first few.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub critical: Vec<String>,
    /// Calls in the body, of whose time the model knows nothing.
    #[serde(default)]
    pub calls: u32,
}

/// One execution resource of the modelled core.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// Name in LLVM's scheduling model, e.g. `Zn4FP0`.
    pub name: String,
    /// Cycles an iteration keeps it busy.
    pub cycles: f64,
}

impl HotBlock {
    /// Instructions a cycle in the simulated steady state.
    pub fn ipc(&self) -> f64 {
        f64::from(self.instructions) / self.cycles
    }

    /// The busiest resource.
    pub fn busiest(&self) -> Option<&Resource> {
        self.resources.first()
    }

    /// Part of the simulated cycles that the busiest resource works, 0 to 1.
    pub fn pressure(&self) -> f64 {
        self.busiest().map_or(0.0, |resource| resource.cycles / self.cycles)
    }

    /// Seconds that one launch spends in the loop by the model, at `clock_hz`.
    pub fn seconds(&self, clock_hz: f64) -> f64 {
        self.cycles * self.executions as f64 / clock_hz
    }

    /// What holds the loop back, by the model.
    pub fn limit(&self) -> Limit {
        if self.dependency_share > self.resource_share && self.cycles > DEPENDENT * self.throughput_cycles {
            Limit::Dependencies
        } else if self.pressure() >= SATURATED {
            Limit::Resource
        } else {
            Limit::Width
        }
    }
}

impl WorkloadTable {
    /// Part of the measured time that one launch spends in `block` by the model, not clamped. Threads share the
    /// iterations.
    pub fn model_share(&self, block: &HotBlock, peaks: &Peaks) -> f64 {
        let measured = self.clean.median_ns * 1e-9 * self.threads();
        block.seconds(peaks.clock_hz) / measured
    }
}

/// A loop waits for its own results if an iteration takes this many times what its throughput allows.
const DEPENDENT: f64 = 1.25;
/// A resource is saturated if it works this part of the cycles: the model's own assignment leaves some per cent.
const SATURATED: f64 = 0.85;

/// What holds a loop back in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// A chain of results that each wait for the one before.
    Dependencies,
    /// One execution resource.
    Resource,
    /// The number of micro-operations the core takes a cycle.
    Width,
}

impl Limit {
    /// A word for a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dependencies => "dependencies",
            Self::Resource => "resource",
            Self::Width => "width",
        }
    }
}

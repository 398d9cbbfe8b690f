//! Exact work of a kernel: block counters joined with what the passes know of each block.

mod join;

pub use join::WorkError;

use crate::sites::{AccessKind, Buffer, Place};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Work of all launches the counting run covered. Every number is exact.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// Calls of the kernel entry that the numbers cover.
    pub launches: u32,
    /// Execution units that took part (threads on the CPU).
    pub units: u32,
    /// Sum over all blocks.
    pub total: Amounts,
    /// Blocks that ran or could have, in site order.
    pub blocks: Vec<BlockWork>,
}

/// Work of one basic block over all its executions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockWork {
    /// Site id.
    pub site: u32,
    /// Label of the block.
    pub name: String,
    /// Function around it.
    pub function: String,
    /// Loops around it inside the function.
    pub loop_depth: u32,
    /// Times it ran.
    pub executions: u64,
    /// Its work by source line.
    pub lines: Vec<LineWork>,
}

/// Work on behalf of one source line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineWork {
    /// Source line; `None` for code the compiler made up.
    pub place: Option<Place>,
    /// How much.
    pub amounts: Amounts,
}

/// Sums of [`crate::sites::LineFacts`] over executions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Amounts {
    /// LLVM instructions.
    pub instructions: u64,
    /// Integer arithmetic instructions.
    pub int_ops: u64,
    /// Branches, switches and returns.
    pub branches: u64,
    /// Floating-point operations by kind.
    pub flops: Vec<FlopWork>,
    /// Bytes moved by kind.
    pub memory: Vec<AccessWork>,
    /// Calls by callee.
    pub calls: Vec<CallWork>,
}

/// Floating-point operations of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlopWork {
    /// Element type.
    pub dtype: String,
    /// Lanes, 1 for scalar code.
    pub lanes: u32,
    /// Division, remainder or square root.
    pub slow: bool,
    /// Fused multiply-add.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub fused: bool,
    /// Work of a GPU's tensor cores.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub tensor: bool,
    /// Operations; a fused multiply-add counts 2 per lane.
    pub flops: u64,
}

/// Accesses of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccessWork {
    /// Memory object.
    pub buffer: Buffer,
    /// Load or store.
    pub kind: AccessKind,
    /// Elements moved at once.
    pub lanes: u32,
    /// Gather or scatter.
    pub indexed: bool,
    /// Marked to bypass the caches.
    #[serde(default)]
    pub nontemporal: bool,
    /// Bytes moved.
    pub bytes: u64,
}

/// Calls of one function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallWork {
    /// Symbol.
    pub callee: String,
    /// Elements each call handles.
    pub lanes: u32,
    /// Defined in the candidate itself.
    pub internal: bool,
    /// Calls.
    pub calls: u64,
}

impl Work {
    /// `amount` of all launches as the amount of one, rounded down.
    pub fn per_launch(&self, amount: u64) -> u64 {
        amount / u64::from(self.launches.max(1))
    }

    /// The candidate's own functions that are called at least `elements` times a launch: one element a call.
    pub fn element_callees(&self, elements: u64) -> BTreeSet<&str> {
        let often = |row: &&CallWork| row.internal && elements > 0 && self.per_launch(row.calls) >= elements;
        self.total.calls.iter().filter(often).map(|row| row.callee.as_str()).collect()
    }

    /// Work by source line over all blocks, most instructions first.
    pub fn by_line(&self) -> Vec<LineWork> {
        let mut sums: BTreeMap<&Option<Place>, Amounts> = BTreeMap::new();
        for line in self.blocks.iter().flat_map(|block| &block.lines) {
            sums.entry(&line.place).or_default().merge(&line.amounts);
        }
        let row = |(place, amounts): (&Option<Place>, Amounts)| LineWork { place: place.clone(), amounts };
        let mut lines: Vec<_> = sums.into_iter().map(row).collect();
        lines.sort_by(|a, b| {
            let instructions = b.amounts.instructions.cmp(&a.amounts.instructions);
            instructions.then_with(|| a.place.cmp(&b.place))
        });
        lines
    }

    /// The source line with the most instructions.
    pub fn hottest_line(&self) -> Option<Place> {
        self.by_line().into_iter().find_map(|line| line.place)
    }
}

impl Amounts {
    /// All floating-point operations.
    pub fn flops(&self) -> u64 {
        self.flops.iter().map(|row| row.flops).sum()
    }

    /// Floating-point operations that `select` picks.
    pub fn flops_where(&self, select: impl Fn(&FlopWork) -> bool) -> u64 {
        self.flops.iter().filter(|row| select(row)).map(|row| row.flops).sum()
    }

    /// All bytes loaded and stored.
    pub fn bytes(&self) -> u64 {
        self.memory.iter().map(|row| row.bytes).sum()
    }

    /// Bytes of the accesses that `select` picks.
    pub fn bytes_where(&self, select: impl Fn(&AccessWork) -> bool) -> u64 {
        self.memory.iter().filter(|row| select(row)).map(|row| row.bytes).sum()
    }

    /// All calls.
    pub fn calls(&self) -> u64 {
        self.calls.iter().map(|row| row.calls).sum()
    }
}

impl BlockWork {
    /// Sum over the block's lines.
    pub fn amounts(&self) -> Amounts {
        let mut sum = Amounts::default();
        self.lines.iter().for_each(|line| sum.merge(&line.amounts));
        sum
    }

    /// The line of the block with the most instructions.
    pub fn hottest_line(&self) -> Option<&Place> {
        let placed = self.lines.iter().filter(|line| line.place.is_some());
        // `max_by_key` takes the last of equals; reversed, that is the first.
        let hottest = placed.rev().max_by_key(|line| line.amounts.instructions);
        hottest.and_then(|line| line.place.as_ref())
    }
}

/// Functions that get memory.
const ALLOCATING: [&str; 7] = [
    "malloc",
    "calloc",
    "realloc",
    "aligned_alloc",
    "posix_memalign",
    "memrefAlloc",
    "_mlir_memref_to_llvm_alloc",
];

/// Functions that give memory back, copy or fill it.
const OTHER_MEMORY: [&str; 7] =
    ["free", "memrefFree", "_mlir_memref_to_llvm_free", "memcpy", "memmove", "memset", "memrefCopy"];

/// Whether `callee` gets memory, which may be fresh pages: C's functions, MLIR's, and C++'s `new` in all its forms.
pub fn allocates(callee: &str) -> bool {
    ALLOCATING.contains(&callee) || ["_Znw", "_Zna"].iter().any(|new| callee.starts_with(new))
}

/// Whether `callee` allocates, frees, copies or fills memory: no arithmetic, and not called per element.
fn is_memory_function(callee: &str) -> bool {
    allocates(callee)
        || OTHER_MEMORY.contains(&callee)
        || ["_Zdl", "_Zda"].iter().any(|delete| callee.starts_with(delete))
}

impl CallWork {
    /// Whether the callee computes something outside the candidate, e.g. `expf`.
    pub fn is_external_work(&self) -> bool {
        !self.internal && !is_memory_function(&self.callee)
    }

    /// Whether each call does a single element's work outside the candidate.
    pub fn is_scalar_library(&self) -> bool {
        self.is_external_work() && self.lanes <= 1
    }
}

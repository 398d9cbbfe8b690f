//! Exact work of a kernel: block counters joined with what the passes know of each block.

use crate::sites::{AccessKind, Buffer, Place};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Instructions executed.
    pub accesses: u64,
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

//! What the observing build saw: single accesses to memory and single branches.
//!
//! Also the layout of the words that its probes own, as `passes/src/conversion/observing.mlir` writes them.

mod join;

use crate::sites::{AccessKind, AddressSource, Buffer, Place};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Words of a site of `memory-access`: last address, last stride, five classes, regular strides.
pub const STRIDE_WORDS: u32 = 8;
/// Words of a site of `cache-footprint`: first touches, then [`AGES`] numbers of later ones.
pub const REUSE_WORDS: u32 = 1 + AGES as u32;
/// Words of the table of lines: accesses so far, mask, halvings, then 4096 entries of two.
pub const TABLE_WORDS: u32 = 3 + 2 * 4096;
/// Words of a branch: taken, transitions, history, mispredictions, and 256 two-bit counters.
pub const BRANCH_WORDS: u32 = 12;
/// Words of a switch: last value, transitions.
pub const SWITCH_WORDS: u32 = 2;
/// Classes of time between two touches of a line: class `n` holds 2^n to 2^(n+1) accesses, the last all above.
pub const AGES: usize = 32;
/// Bytes of a cache line, on every x86-64.
pub const LINE_BYTES: u64 = 64;

/// Accesses of all launches the observing run covered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Accesses {
    /// Calls of the kernel entry that the numbers cover.
    pub launches: u32,
    /// Loads and stores, in the order of the code.
    pub rows: Vec<AccessRow>,
    /// How the lines were sampled, where `cache-footprint` ran.
    pub sample: Option<LineSample>,
}

/// One load or store of the optimised code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccessRow {
    /// `function:block.load0`.
    pub name: String,
    /// Symbol of the function around it.
    pub function: String,
    /// Source line.
    pub place: Option<Place>,
    /// Loops around it.
    pub loop_depth: u32,
    /// Memory object.
    pub buffer: Buffer,
    /// Load or store.
    pub kind: AccessKind,
    /// Bytes moved at one address.
    pub width: u32,
    /// True for gathers and scatters, whose lanes are counted one by one.
    pub indexed: bool,
    /// What the address is computed from.
    pub address: AddressSource,
    /// Times it ran; a gather once a lane. 0 also where `memory-access` was not among the probes.
    pub executions: u64,
    /// How far it moves from one execution to the next.
    pub strides: Strides,
    /// Threads whose last address was on the line of another thread's last one, but not the same address.
    #[serde(default)]
    pub line_sharers: u32,
    /// Lines it touched, estimated from the sample.
    pub lines: Option<LineTouches>,
}

/// Distances between consecutive addresses of one access and thread; the first address of a thread has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Strides {
    /// The same address again.
    pub same: u64,
    /// At most the access's own width: the next element.
    pub unit: u64,
    /// Less than a cache line.
    pub line: u64,
    /// Less than a page of 4096 bytes.
    pub page: u64,
    /// A page or more.
    pub beyond: u64,
    /// Equal to the distance before, whatever the class.
    pub regular: u64,
}

/// Touches of cache lines by one access, each weighted with the lines it stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineTouches {
    /// Lines that no access of the launches had touched before in the same thread: one that several threads touch counts in
    /// each.
    pub first: u64,
    /// Touches of known lines, by the logarithm to base 2 of the accesses since the last touch: [`AGES`] classes.
    pub again: Vec<u64>,
}

/// How cache lines were sampled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineSample {
    /// Touches of lines, all of them counted.
    pub touches: u64,
    /// At the end one line in this many was in the sample, in the thread with the thinnest one.
    pub one_in: u64,
}

/// One branch of the optimised code, over all launches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BranchRow {
    /// `function:block`, with ` back-edge` where it closes a loop.
    pub name: String,
    /// Source line.
    pub place: Option<Place>,
    /// Loops around it.
    pub loop_depth: u32,
    /// True for a switch, of which only the changes of its value are known.
    pub switch: bool,
    /// Times it ran.
    pub executions: u64,
    /// Times its condition held.
    pub taken: u64,
    /// Times the outcome differed from the one before.
    pub transitions: u64,
    /// Times a two-level predictor was wrong; of a switch, its transitions.
    pub mispredictions: u64,
}

/// Branches of all launches the observing run covered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Branches {
    /// Calls of the kernel entry that the numbers cover.
    pub launches: u32,
    /// Branches, in the order of the code.
    pub rows: Vec<BranchRow>,
}

impl Accesses {
    /// `amount` of all launches as the amount of one.
    pub fn per_launch(&self, amount: f64) -> f64 {
        amount / f64::from(self.launches.max(1))
    }

    /// Distinct lines that the launches touched, estimated; summed over the threads.
    pub fn distinct_lines(&self) -> u64 {
        let lines = self.rows.iter().filter_map(|row| row.lines.as_ref());
        lines.fold(0, |sum, lines| sum.saturating_add(lines.first))
    }

    /// Distinct bytes of `buffer` that the launches touched, in whole lines, estimated; summed over the threads.
    pub fn footprint(&self, buffer: &Buffer) -> u64 {
        let rows = self.rows.iter().filter(|row| row.buffer == *buffer);
        let lines = rows.filter_map(|row| row.lines.as_ref());
        lines.fold(0_u64, |sum, lines| sum.saturating_add(lines.first)).saturating_mul(LINE_BYTES)
    }
}

impl AccessRow {
    /// Bytes it moved.
    pub fn bytes(&self) -> f64 {
        self.executions as f64 * f64::from(self.width)
    }

    /// Executions whose distance was not the one before.
    pub fn irregular(&self) -> u64 {
        self.strides.total().saturating_sub(self.strides.regular)
    }
}

impl Strides {
    /// All distances.
    pub fn total(&self) -> u64 {
        [self.same, self.unit, self.line, self.page, self.beyond].into_iter().fold(0, u64::saturating_add)
    }

    /// Distances of a cache line or more.
    pub fn beyond_line(&self) -> u64 {
        self.page.saturating_add(self.beyond)
    }
}

impl BranchRow {
    /// Mispredictions a run, 0 to 1.
    pub fn misprediction_rate(&self) -> f64 {
        self.mispredictions as f64 / (self.executions.max(1)) as f64
    }
}

//! The static half of a trace: what each probe site is.

use crate::layout::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Words of a block on a GPU: lanes that took part in its executions.
pub const WARP_BLOCK_WORDS: u32 = 1;
/// Words of an access on a GPU: active lanes, bytes, 32-byte sectors (of shared memory: wavefronts), and the most lanes that
/// one address had, summed over executions.
pub const WARP_ACCESS_WORDS: u32 = 4;
/// Words of a branch on a GPU: active lanes, lanes that took it, executions in which some did and some did not.
pub const WARP_BRANCH_WORDS: u32 = 3;

/// A position in a source file; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// File as the user named it.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column, 0 if unknown.
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Everything the passes know about the sites of one instrumented module, in site-id order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SiteTable {
    /// How these sites record.
    pub mode: Mode,
    /// Sites; `sites[i].id == i`.
    pub sites: Vec<ProbeSite>,
    /// What probes could not watch, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left_out: Vec<String>,
}

impl SiteTable {
    /// Ties record files to the sites they belong to: BLAKE3 of the table's compact JSON. The host
    /// puts it into [`crate::layout::StateHeader::site_digest`], and decoding checks it.
    ///
    /// # Errors
    /// Only if serde_json fails, which these types give it no reason to.
    pub fn digest(&self) -> Result<[u8; 32], serde_json::Error> {
        let mut hasher = blake3::Hasher::new();
        serde_json::to_writer(&mut hasher, self)?;
        Ok(*hasher.finalize().as_bytes())
    }

    /// A label for each site by which it can be told from the others: its name, with its place where names are equal, and
    /// with its id where that is not enough.
    pub fn labels(&self) -> Vec<String> {
        let with_place = |site: &ProbeSite| match &site.place {
            Some(place) => format!("{} ({place})", site.name),
            None => site.name.clone(),
        };
        let names: Vec<String> = self.sites.iter().map(|site| site.name.clone()).collect();
        let places: Vec<String> = self.sites.iter().map(with_place).collect();
        let (times_named, times_placed) = (times(&names), times(&places));
        let label =
            |site: &ProbeSite, name: &str, placed: &str| match (times_named[name], times_placed[placed]) {
                (1, _) => name.to_owned(),
                (_, 1) => placed.to_owned(),
                _ => format!("{placed} #{}", site.id),
            };
        let sites = self.sites.iter().zip(&names).zip(&places);
        sites.map(|((site, name), placed)| label(site, name, placed)).collect()
    }

    /// Words of all sites together, in each unit.
    pub fn word_count(&self) -> u64 {
        self.sites.iter().map(|site| u64::from(site.words)).sum()
    }

    /// Number of the first word of each site in a unit's words, in site order.
    pub fn first_words(&self) -> Vec<u64> {
        let after = |next: &mut u64, site: &ProbeSite| {
            let first = *next;
            *next += u64::from(site.words);
            Some(first)
        };
        self.sites.iter().scan(0, after).collect()
    }
}

fn times(labels: &[String]) -> BTreeMap<&str, usize> {
    let mut times = BTreeMap::new();
    labels.iter().for_each(|label| *times.entry(label.as_str()).or_default() += 1);
    times
}

/// One place where a probe records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeSite {
    /// Dense from 0; the id in every record.
    pub id: u32,
    /// Probe that inserted it, e.g. `region-time`.
    pub probe: String,
    /// What it covers.
    pub kind: SiteKind,
    /// Label for people: the marked region's name, the op's name, or `function:block`.
    pub name: String,
    /// Symbol of the function around it.
    pub function: String,
    /// Source position of what it covers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Loops around a block inside its function; 0 outside any loop.
    #[serde(default)]
    pub loop_depth: u32,
    /// True for a timed loop whose trips are counted one by one, which costs every trip.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub counts_trips: bool,
    /// Timed site around it in the same function.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<u32>,
    /// 64-bit words that it owns in each unit, besides its aggregate and its counter; zero when recording begins.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub words: u32,
    /// What one execution does, per source line; empty where the probe knows nothing of it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lines: Vec<LineFacts>,
}

/// The timing sites that fit an overhead budget, by their keys in [`SiteKeys`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice(pub BTreeSet<String>);

/// Gives each timing site a key that it keeps when others are left out, although its id then changes.
#[derive(Debug, Default)]
pub struct SiteKeys(BTreeMap<String, u32>);

impl SiteKeys {
    /// The keys of the sites of `table`, in order.
    pub fn of(table: &SiteTable) -> Vec<String> {
        let mut keys = Self::default();
        let key =
            |site: &ProbeSite| keys.next(&site.probe, &site.function, site.place.as_ref(), site.loop_depth);
        table.sites.iter().map(key).collect()
    }

    /// The key of the next site that a probe finds. Sites alike in all of this are told apart by their order.
    pub fn next(&mut self, probe: &str, function: &str, place: Option<&Place>, loop_depth: u32) -> String {
        let line = place.map(|place| (place.line, place.column)).unwrap_or_default();
        let alike = format!("{probe} {function} {}:{} {loop_depth}", line.0, line.1);
        let ordinal = self.0.entry(alike.clone()).or_default();
        *ordinal += 1;
        format!("{alike} {ordinal}")
    }
}

fn is_zero(words: &u32) -> bool {
    *words == 0
}

/// What a site covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SiteKind {
    /// A timed interval.
    Region,
    /// A timed loop of the optimised code; its counter has the trips.
    Loop,
    /// A thread's share of a parallel region, timed.
    Parallel,
    /// A call in which a thread waits for others, timed.
    Wait,
    /// A basic block of the optimised code.
    Block,
    /// A copy or fill in the block before it whose length is known only when it runs; its counter has the bytes, and its
    /// facts are those of one byte.
    Copy,
    /// A load or store of the optimised code.
    Access,
    /// The sample of cache lines that the accesses of a module share.
    Lines,
    /// A branch with two ways to go.
    Branch,
    /// A branch with more ways to go.
    Switch,
    /// The whole of a kernel on a GPU, timed warp by warp.
    Kernel,
    /// A barrier that the warps of a block wait at, timed.
    Barrier,
    /// A wait for copies or matrix products that a warp began before, timed.
    AsyncWait,
    /// An atomic read-modify-write of device code.
    Atomic,
}

/// What one execution of a block does on behalf of one source line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineFacts {
    /// Source line, `None` for code the compiler made up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// LLVM instructions (debug intrinsics, phis and constants not counted).
    pub instructions: u32,
    /// Floating-point work.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub flops: Vec<FlopFact>,
    /// Integer arithmetic instructions, address arithmetic included.
    #[serde(default)]
    pub int_ops: u32,
    /// Loads and stores.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub memory: Vec<AccessFact>,
    /// Branches, switches and returns.
    #[serde(default)]
    pub branches: u32,
    /// Calls that remain in the machine code.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub calls: Vec<CallFact>,
}

/// Floating-point operations of one type and width in one execution of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlopFact {
    /// Element type: `f16`, `bf16`, `f32`, `f64`.
    pub dtype: String,
    /// Lanes of the operation, 1 for scalar code.
    pub lanes: u32,
    /// Floating-point operations; a fused multiply-add counts 2 per lane.
    pub flops: u32,
    /// True for division, remainder and square root, which issue at a fraction of the FMA rate.
    #[serde(default)]
    pub slow: bool,
    /// True for fused multiply-adds, which do two of these operations an instruction.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub fused: bool,
    /// True for matrix products on tensor cores; `flops` is one thread's share of what its warp does.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub tensor: bool,
}

/// Memory traffic of one kind in one execution of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccessFact {
    /// What the pointer is derived from.
    pub buffer: Buffer,
    /// Load or store.
    pub kind: AccessKind,
    /// Bytes moved.
    pub bytes: u32,
    /// Elements moved at once, 1 for scalar code.
    pub lanes: u32,
    /// True where the elements are not contiguous (gather, scatter).
    #[serde(default)]
    pub indexed: bool,
    /// True for a store or load that is marked to bypass the caches.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nontemporal: bool,
    /// What the address is computed from, where a probe of single accesses asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressSource>,
}

/// What the address of an access in a loop is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AddressSource {
    /// Arithmetic alone, so that any number of accesses can be under way at once.
    Computed,
    /// A value that is itself loaded in the loop, such as an index of a gather.
    Loaded,
    /// What this very access loaded before: each must wait for the last, as in a linked list.
    Chased,
}

/// Direction of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessKind {
    /// Memory to register.
    Load,
    /// Register to memory.
    Store,
}

impl AccessKind {
    /// What it does, in a word.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Store => "store",
        }
    }
}

/// Memory object behind an access.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "index")]
pub enum Buffer {
    /// The entry's buffer of this index: inputs in order, then outputs.
    Argument(u32),
    /// Memory the kernel allocated; the number tells allocations apart.
    Allocation(u32),
    /// The stack.
    Stack,
    /// A constant or global of the module.
    Global,
    /// Shared memory of a block on a GPU.
    Shared,
    /// Not recoverable from the code.
    Unknown,
}

/// A call that remains in the machine code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallFact {
    /// Symbol, e.g. `tanhf`, `_ZGVeN16v_expf`, or `<indirect>`.
    pub callee: String,
    /// Calls per execution of the block.
    pub count: u32,
    /// Elements each call handles: 1 for `expf`, 16 for `_ZGVeN16v_expf`.
    pub lanes: u32,
    /// True if the callee is defined in the candidate itself.
    #[serde(default)]
    pub internal: bool,
}

//! Requests that a worker serves.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::arena::Layout;
use crate::gpu::{DeviceFault, OWN_UNITS, Shown};

/// Name of the function a library exports: `void __kinstr_entry(void **args)`.
pub const ENTRY_SYMBOL: &str = "__kinstr_entry";

/// What a worker can be asked, as the `op` of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Request {
    /// Open a GPU, on which what is loaded afterwards has its tensors. Answers an [`Opened`].
    OpenDevice {
        /// Its number.
        ordinal: u32,
        /// Cores to run on once it is open; none for any.
        cores: Vec<usize>,
    },
    /// Load a candidate's library and bind its arguments; what was loaded before loses its tensors. Answers a [`Loaded`].
    Load {
        /// Shared library.
        library: PathBuf,
        /// Function to call, usually [`ENTRY_SYMBOL`].
        entry: String,
        /// Its arguments in order.
        arguments: Vec<Argument>,
        /// Descriptor number of the arena.
        arena_fd: i32,
        /// Where the buffers lie in it.
        arena: Layout,
        /// Bytes of address space it may add to what the worker has mapped by then; of device memory, where a device is
        /// open.
        memory: Option<u64>,
    },
    /// Call the entry this many times, one after the other. Zero measures the empty request.
    Run {
        /// Calls.
        calls: u32,
    },
    /// As many times: move the elements of some inputs by one place, poison the outputs, and, with `call`, call the
    /// entry. Inputs are left moved.
    RunRenewed {
        /// Times.
        calls: u32,
        /// Without calls it measures what renewing costs by itself.
        call: bool,
        /// Indices of the inputs in the arena.
        rotate: Vec<usize>,
    },
    /// Record from the next run on, into the inherited record memory.
    Attach {
        /// Descriptor number of the record memory.
        records_fd: i32,
        /// Its bytes.
        bytes: usize,
        /// On a device, whether warps share units: `unit_mask` of the record layout.
        #[serde(default = "own_units")]
        mask: u32,
    },
    /// Stop recording.
    Detach,
    /// Overwrite the caches, so that the next run finds them cold.
    Evict,
    /// From the next run on, denormal numbers are zero.
    FlushDenormals,
    /// Copy the arena's tensors to the device: outputs get `poison`. What is allocated until they are downloaded has
    /// guards.
    Upload {
        /// Whether inputs have changed.
        inputs: bool,
        /// What every byte of the outputs holds.
        poison: u8,
    },
    /// Copy outputs to the arena. Answers a list of [`crate::gpu::Trespass`].
    Download,
    /// Call the entry this many times, each on renewed tensors and with the L2 cache overwritten. Answers a
    /// [`crate::gpu::CallTimes`]. The last call finds the inputs that were uploaded.
    TimeCalls {
        /// Times.
        calls: u32,
        /// Without calls it measures what surrounds them.
        call: bool,
        /// Indices of the inputs in the arena whose elements may change places.
        rotate: Vec<usize>,
    },
    /// Call the entry this many times, and answer what it asked of the device: a [`crate::gpu::Activity`].
    Trace {
        /// Calls.
        calls: u32,
    },
    /// Measure the open device's peaks. Answers a `DevicePeaks`.
    DevicePeaks {
        /// Today, `YYYY-MM-DD`.
        date: String,
    },
    /// Measure this machine's peaks. Answers a `Peaks`.
    Peaks {
        /// What to call the machine in the answer.
        device: String,
        /// Today, `YYYY-MM-DD`.
        date: String,
    },
}

/// Answer to [`Request::OpenDevice`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The GPU.
    pub shown: Shown,
    /// Whether it runs on the cores it was told.
    pub own_cores: bool,
}

/// Answer to [`Request::Load`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Whether the worker could forbid itself to run other programs and to signal other processes.
    pub confined_to_program: bool,
    /// Whether the limit on memory is in force, or none was asked for.
    pub memory_limited: bool,
}

/// One argument of the entry. `args[i]` points to its storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Argument {
    /// Storage is MLIR's descriptor `{ptr, ptr, i64 offset, i64 sizes[rank], i64 strides[rank]}` of a
    /// dense row-major buffer (<https://mlir.llvm.org/docs/TargetLLVMIR/>).
    Memref {
        /// Index of the buffer in the arena.
        buffer: usize,
        /// Sizes, outermost first; empty for rank 0.
        shape: Vec<i64>,
    },
    /// Storage is the address of the buffer's first byte.
    Pointer {
        /// Index of the buffer in the arena.
        buffer: usize,
    },
    /// Storage is the value itself.
    Scalar {
        /// Its bytes, little-endian; at most 16.
        bytes: Vec<u8>,
    },
}

/// Why a worker refuses a request: the reply's `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable kebab-case name of the cause.
    pub kind: RefusalKind,
    /// One sentence for people.
    pub message: String,
    /// What the device did, if it was the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceFault>,
}

fn own_units() -> u32 {
    OWN_UNITS
}

/// Causes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The library cannot be loaded: most often it calls a function that nothing provides.
    DoesNotLoad,
    /// The library has no entry.
    NoEntry,
    /// The library has no `__kinstr_state`: it was built without probes.
    NoState,
    /// The request does not fit what the worker was given.
    BadRequest,
    /// The system refused.
    System,
    /// A fault of a device, or of code on it.
    Device,
}

impl Refusal {
    pub(super) fn new(kind: RefusalKind, message: impl ToString) -> Self {
        Self { kind, message: message.to_string(), device: None }
    }
}

impl From<DeviceFault> for Refusal {
    fn from(fault: DeviceFault) -> Self {
        Self { device: Some(fault.clone()), ..Self::new(RefusalKind::Device, fault) }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::new(RefusalKind::System, error)
    }
}

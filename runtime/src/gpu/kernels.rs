//! kinstr's own kernels on the device, and how they are launched.

use std::ffi::c_void;

use kinstr_trace::layout::{AGGREGATE_BYTES, UNIT_HEADER_BYTES, UnitHeader, offset};

use super::driver::{self, Address, DriverError, Function, Module, Shape, Stream};

const PTX: &str = concat!(include_str!("kernels.ptx"), "\0");
/// Threads of a block.
const THREADS: u32 = 256;
/// Most blocks of a grid that strides over its data.
const BLOCKS: u64 = 4096;

// The kernel that makes units has these as numbers.
const _: () = assert!(offset::RECORD_CAPACITY == 48 && offset::RECORD_MASK == 56);
const _: () = assert!(std::mem::offset_of!(UnitHeader, unit_id) == 0);
const _: () = assert!(UNIT_HEADER_BYTES + 16 == 144 && AGGREGATE_BYTES == 32);

/// They, loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernels {
    differs: Function,
    deviates: Function,
    units: Function,
    stamp: Function,
}

/// How the units of a record memory begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blank {
    pub units: Address,
    pub stride: u64,
    pub count: u32,
    pub sites: u32,
    pub capacity: u64,
    pub mask: u64,
}

impl Kernels {
    pub(super) fn load() -> Result<Self, (DriverError, String)> {
        // SAFETY: PTX that ends with a zero.
        let module = unsafe { Module::load(PTX.as_ptr().cast(), None) }?;
        let find = |name| module.function(name).map_err(|error| (error, String::new()));
        Ok(Self {
            differs: find(c"kinstr_differs")?,
            deviates: find(c"kinstr_deviates")?,
            units: find(c"kinstr_units")?,
            stamp: find(c"kinstr_stamp")?,
        })
    }

    /// Puts the index of the first 32-bit word in which `a` and `b` differ into `out`, which holds all ones.
    pub(super) fn differs(
        &self,
        stream: Stream,
        [a, b]: [Address; 2],
        words: u64,
        out: Address,
    ) -> driver::Result<()> {
        run(
            self.differs,
            stream,
            words,
            &mut [Value::Long(a), Value::Long(b), Value::Long(words), Value::Long(out)],
        )
    }

    /// Puts the index of the first 32-bit word that is not `value` into `out`, which holds all ones.
    pub(super) fn deviates(
        &self,
        stream: Stream,
        a: Address,
        value: u32,
        words: u64,
        out: Address,
    ) -> driver::Result<()> {
        let values = &mut [Value::Long(a), Value::Word(value), Value::Long(words), Value::Long(out)];
        run(self.deviates, stream, words, values)
    }

    /// Makes zeroed units ready to be recorded into.
    pub(super) fn blank(&self, stream: Stream, blank: &Blank) -> driver::Result<()> {
        let values = &mut [
            Value::Long(blank.units),
            Value::Long(blank.stride),
            Value::Word(blank.count),
            Value::Word(blank.sites),
            Value::Long(blank.capacity),
            Value::Long(blank.mask),
        ];
        let shape = Shape::flat(blank.count.div_ceil(THREADS).max(1), THREADS);
        launch(self.units, stream, &shape, values)
    }

    /// Writes an SM's clock and the device's timer, 16 bytes, to `out`.
    pub(super) fn stamp(&self, stream: Stream, out: Address) -> driver::Result<()> {
        launch(self.stamp, stream, &Shape::flat(1, 1), &mut [Value::Long(out)])
    }
}

/// A parameter of a kernel.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Word(u32),
    Long(u64),
}

/// Launches over as many threads as there are words, or as make the device busy.
fn run(function: Function, stream: Stream, words: u64, values: &mut [Value]) -> driver::Result<()> {
    if words == 0 {
        return Ok(());
    }
    let blocks = words.div_ceil(THREADS.into()).min(BLOCKS) as u32;
    launch(function, stream, &Shape::flat(blocks, THREADS), values)
}

/// Launches a kernel of kinstr's own, whose parameters are `values`.
pub(super) fn launch(
    function: Function,
    stream: Stream,
    shape: &Shape,
    values: &mut [Value],
) -> driver::Result<()> {
    let pointer = |value: &mut Value| -> *mut c_void {
        match value {
            Value::Word(word) => std::ptr::from_mut(word).cast(),
            Value::Long(long) => std::ptr::from_mut(long).cast(),
        }
    };
    let mut parameters: Vec<*mut c_void> = values.iter_mut().map(pointer).collect();
    // SAFETY: the callers pass the parameters that the PTX of their kernel declares, and the driver copies them.
    unsafe { function.launch(shape, stream, parameters.as_mut_ptr()) }
}

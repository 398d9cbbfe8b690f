//! The CUDA driver, as far as it is used here: each call once, with its error.
//!
//! The driver checks handles and addresses itself and answers an error for a wrong one. What it cannot check is host
//! memory that it reads or writes: where a call touches some, the function takes a slice or says what it needs.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;

use cudarc::driver::sys;
pub(super) use sys::{
    CUdevice_attribute_enum as Attribute, CUfunction_attribute_enum as FunctionAttribute, CUresult,
};

/// Address in device memory.
pub(super) type Address = u64;

/// A call of the driver that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {}", words(*.code))]
pub(super) struct DriverError {
    /// The function.
    pub call: &'static str,
    /// What it answered.
    pub code: CUresult,
}

pub(super) type Result<T> = std::result::Result<T, DriverError>;

/// A stream; null is the device's default one, which nothing here uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stream(pub sys::CUstream);
/// An event that holds a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event(pub sys::CUevent);
/// A loaded device module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Module(pub sys::CUmodule);
/// A kernel of a loaded module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Function(pub sys::CUfunction);

// SAFETY: the driver's handles are names of its own objects, valid in every thread of the process that made them.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Send for Function {}

/// Calls a function of the driver by its name.
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {
        check(stringify!($function), sys::$function($($argument),*))
    };
}

fn check(call: &'static str, code: CUresult) -> Result<()> {
    match code {
        CUresult::CUDA_SUCCESS => Ok(()),
        code => Err(DriverError { call, code }),
    }
}

/// The driver's own words for an answer, and its name.
pub(super) fn words(code: CUresult) -> String {
    let mut texts = [ptr::null(), ptr::null()];
    // SAFETY: both answer the address of a constant string or leave null; the library is loaded, or there would be no
    // answer to explain.
    unsafe {
        if sys::is_culib_present() {
            let _ = sys::cuGetErrorString(code, &mut texts[0]);
            let _ = sys::cuGetErrorName(code, &mut texts[1]);
        }
    }
    let [text, name] = texts.map(|text| {
        // SAFETY: not null, so a constant C string of the driver's.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    });
    match (text, name) {
        (Some(text), Some(name)) => format!("{text} ({name})"),
        _ => format!("{code:?}"),
    }
}

/// Whether the driver's library can be loaded.
pub(super) fn is_present() -> bool {
    // SAFETY: loads a library by its well-known name, whose constructors are the system's own.
    unsafe { sys::is_culib_present() }
}

/// Makes the driver ready; [`is_present`] must have said yes.
pub(super) fn initialize() -> Result<()> {
    // SAFETY: takes a number that must be zero.
    unsafe { call!(cuInit(0)) }
}

/// CUDA version of the driver, times 1000.
pub(super) fn version() -> Result<i32> {
    let mut version = 0;
    // SAFETY: writes a number.
    unsafe { call!(cuDriverGetVersion(&mut version)) }.map(|()| version)
}

/// Devices there are.
pub(super) fn device_count() -> Result<u32> {
    let mut count: c_int = 0;
    // SAFETY: writes a number.
    unsafe { call!(cuDeviceGetCount(&mut count)) }.map(|()| count.max(0) as u32)
}

/// The driver's number of the device that is number `ordinal` of those visible.
pub(super) fn device(ordinal: u32) -> Result<i32> {
    let mut device = 0;
    // SAFETY: writes a number.
    unsafe { call!(cuDeviceGet(&mut device, ordinal as c_int)) }.map(|()| device)
}

pub(super) fn name(device: i32) -> Result<String> {
    let mut text = [0; 256];
    // SAFETY: writes a C string into a buffer of the length it is told.
    unsafe {
        call!(cuDeviceGetName(text.as_mut_ptr(), text.len() as c_int, device))?;
        Ok(CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned())
    }
}

/// The device's unique id, in hexadecimal.
pub(super) fn uuid(device: i32) -> Result<String> {
    let mut uuid = sys::CUuuid { bytes: [0; 16] };
    // SAFETY: writes 16 bytes.
    unsafe { call!(cuDeviceGetUuid_v2(&mut uuid, device)) }?;
    Ok(uuid.bytes.iter().map(|byte| format!("{:02x}", *byte as u8)).collect())
}

pub(super) fn attribute(device: i32, attribute: Attribute) -> Result<u64> {
    let mut value: c_int = 0;
    // SAFETY: writes a number.
    unsafe { call!(cuDeviceGetAttribute(&mut value, attribute, device)) }.map(|()| value.max(0) as u64)
}

pub(super) fn memory_bytes(device: i32) -> Result<u64> {
    let mut bytes = 0;
    // SAFETY: writes a number.
    unsafe { call!(cuDeviceTotalMem_v2(&mut bytes, device)) }.map(|()| bytes as u64)
}

/// Makes the device's primary context, and that this thread's current one. It stays until the process ends.
pub(super) fn open_context(device: i32) -> Result<()> {
    let mut context = ptr::null_mut();
    // SAFETY: the handle that the first call writes is passed to the second.
    unsafe {
        call!(cuDevicePrimaryCtxRetain(&mut context, device))?;
        call!(cuCtxSetCurrent(context))
    }
}

/// Waits for all work of the context.
pub(super) fn synchronize() -> Result<()> {
    // SAFETY: takes nothing.
    unsafe { call!(cuCtxSynchronize()) }
}

/// Gives lines of the L2 cache that were set to persist back to normal use.
pub(super) fn reset_persisting_lines() -> Result<()> {
    // SAFETY: takes nothing.
    unsafe { call!(cuCtxResetPersistingL2Cache()) }
}

pub(super) fn allocate(bytes: usize) -> Result<Address> {
    let mut address = 0;
    // SAFETY: writes an address.
    unsafe { call!(cuMemAlloc_v2(&mut address, bytes.max(1))) }.map(|()| address)
}

pub(super) fn free(address: Address) -> Result<()> {
    // SAFETY: the driver refuses what it did not allocate; nobody here uses the memory after.
    unsafe { call!(cuMemFree_v2(address)) }
}

/// Allocates in the order of the stream's work.
pub(super) fn allocate_on(stream: Stream, bytes: usize) -> Result<Address> {
    let mut address = 0;
    // SAFETY: writes an address.
    unsafe { call!(cuMemAllocAsync(&mut address, bytes.max(1), stream.0)) }.map(|()| address)
}

pub(super) fn free_on(stream: Stream, address: Address) -> Result<()> {
    // SAFETY: the driver refuses what it did not allocate.
    unsafe { call!(cuMemFreeAsync(address, stream.0)) }
}

/// Lets freed memory stay with the process, so that a call which allocates does not go to the system each time.
pub(super) fn keep_freed_memory(device: i32) -> Result<()> {
    let (mut pool, mut all) = (ptr::null_mut(), u64::MAX);
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the attribute is a 64-bit number, which is what the pointer points to.
    unsafe {
        call!(cuDeviceGetDefaultMemPool(&mut pool, device))?;
        call!(cuMemPoolSetAttribute(pool, threshold, (&raw mut all).cast()))
    }
}

/// Host memory that the device reaches without a copy in between.
#[derive(Debug)]
pub(super) struct Pinned {
    start: *mut u8,
    bytes: usize,
}

impl Pinned {
    pub(super) fn new(bytes: usize) -> Result<Self> {
        let mut start = ptr::null_mut();
        // SAFETY: writes an address.
        unsafe { call!(cuMemAllocHost_v2(&mut start, bytes)) }?;
        Ok(Self { start: start.cast(), bytes })
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the driver allocated this many bytes, zeroed by the system, and `self` is their only owner.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`, and no slice of it outlives `self`.
        unsafe {
            let _ = sys::cuMemFreeHost(self.start.cast());
        }
    }
}

/// Pins `bytes` bytes of host memory at `start`, which must stay mapped until they are unpinned or the process ends.
pub(super) fn pin(start: *mut u8, bytes: usize) -> Result<()> {
    // SAFETY: the driver refuses what is not mapped; that it stays so is the caller's word.
    unsafe { call!(cuMemHostRegister_v2(start.cast(), bytes, 0)) }
}

/// Undoes [`pin`].
pub(super) fn unpin(start: *mut u8) -> Result<()> {
    // SAFETY: the driver refuses what is not pinned.
    unsafe { call!(cuMemHostUnregister(start.cast())) }
}

/// Copies host memory to the device, and returns when it is there: the driver's own call returns as soon as the source
/// may change, and no stream of ours waits for the rest.
pub(super) fn copy_in(to: Address, from: &[u8]) -> Result<()> {
    // SAFETY: reads the slice; the driver checks the device's side. Null is the stream that the copy is on.
    unsafe {
        call!(cuMemcpyHtoD_v2(to, from.as_ptr().cast(), from.len()))?;
        call!(cuStreamSynchronize(ptr::null_mut()))
    }
}

/// Copies device memory to the host, and returns when it is there.
pub(super) fn copy_out(to: &mut [u8], from: Address) -> Result<()> {
    // SAFETY: writes the slice; the driver checks the device's side.
    unsafe { call!(cuMemcpyDtoH_v2(to.as_mut_ptr().cast(), from, to.len())) }
}

/// Copies few bytes of host memory to the device in the order of the stream's work. They are taken over at once: the
/// driver does so with unpinned memory up to 64 KiB.
pub(super) fn copy_in_on(stream: Stream, to: Address, from: &[u8]) -> Result<()> {
    debug_assert!(from.len() <= 64 << 10);
    // SAFETY: reads the slice before it returns.
    unsafe { call!(cuMemcpyHtoDAsync_v2(to, from.as_ptr().cast(), from.len(), stream.0)) }
}

/// Copies all of pinned memory to the device, in the order of the stream's work. Wait for it before the memory is used
/// again.
pub(super) fn copy_pinned_in_on(stream: Stream, to: Address, from: &mut Pinned) -> Result<()> {
    // SAFETY: the memory is alive, and nobody changes it before the caller has waited.
    unsafe { call!(cuMemcpyHtoDAsync_v2(to, from.start.cast(), from.bytes, stream.0)) }
}

/// The other way.
pub(super) fn copy_pinned_out_on(stream: Stream, to: &mut Pinned, from: Address) -> Result<()> {
    // SAFETY: as above.
    unsafe { call!(cuMemcpyDtoHAsync_v2(to.start.cast(), from, to.bytes, stream.0)) }
}

/// Copies between any two addresses, in the order of the stream's work.
///
/// # Safety
/// Addresses of the host's must be valid for `bytes` bytes until the copy is done.
pub(super) unsafe fn copy_on(stream: Stream, to: Address, from: Address, bytes: usize) -> Result<()> {
    // SAFETY: the caller's word; the driver checks addresses of the device's.
    unsafe { call!(cuMemcpyAsync(to, from, bytes, stream.0)) }
}

/// Copies within device memory, in the order of the stream's work.
pub(super) fn copy_within_on(stream: Stream, to: Address, from: Address, bytes: usize) -> Result<()> {
    // SAFETY: the driver checks both addresses.
    unsafe { call!(cuMemcpyDtoDAsync_v2(to, from, bytes, stream.0)) }
}

pub(super) fn fill_on(stream: Stream, to: Address, byte: u8, bytes: usize) -> Result<()> {
    // SAFETY: the driver checks the address.
    unsafe { call!(cuMemsetD8Async(to, byte, bytes, stream.0)) }
}

pub(super) fn fill16_on(stream: Stream, to: Address, value: u16, count: usize) -> Result<()> {
    // SAFETY: the driver checks the address.
    unsafe { call!(cuMemsetD16Async(to, value, count, stream.0)) }
}

pub(super) fn fill32_on(stream: Stream, to: Address, value: u32, count: usize) -> Result<()> {
    // SAFETY: the driver checks the address.
    unsafe { call!(cuMemsetD32Async(to, value, count, stream.0)) }
}

impl Stream {
    /// A stream that waits for no other by itself.
    pub(super) fn new() -> Result<Self> {
        let mut stream = ptr::null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as c_uint;
        // SAFETY: writes a handle.
        unsafe { call!(cuStreamCreate(&mut stream, flags)) }.map(|()| Self(stream))
    }

    pub(super) fn synchronize(self) -> Result<()> {
        // SAFETY: the driver checks the handle as far as it can; ours come from `new`.
        unsafe { call!(cuStreamSynchronize(self.0)) }
    }

    pub(super) fn wait_for(self, event: Event) -> Result<()> {
        // SAFETY: as above.
        unsafe { call!(cuStreamWaitEvent(self.0, event.0, 0)) }
    }
}

impl Event {
    pub(super) fn new() -> Result<Self> {
        let mut event = ptr::null_mut();
        let flags = sys::CUevent_flags::CU_EVENT_DEFAULT as c_uint;
        // SAFETY: writes a handle.
        unsafe { call!(cuEventCreate(&mut event, flags)) }.map(|()| Self(event))
    }

    pub(super) fn destroy(self) -> Result<()> {
        // SAFETY: the handle came from `new`, and its owner gives it up.
        unsafe { call!(cuEventDestroy_v2(self.0)) }
    }

    pub(super) fn record(self, stream: Stream) -> Result<()> {
        // SAFETY: both handles came from `new`.
        unsafe { call!(cuEventRecord(self.0, stream.0)) }
    }

    pub(super) fn synchronize(self) -> Result<()> {
        // SAFETY: the handle came from `new`.
        unsafe { call!(cuEventSynchronize(self.0)) }
    }

    /// Nanoseconds of device time from `begin` to this, both of which have happened.
    pub(super) fn since(self, begin: Self) -> Result<f64> {
        let mut milliseconds = 0.0_f32;
        // SAFETY: writes a number; both handles came from `new`.
        unsafe { call!(cuEventElapsedTime(&mut milliseconds, begin.0, self.0)) }?;
        Ok(f64::from(milliseconds) * 1e6)
    }
}

/// Bytes of the just-in-time compiler's messages that are kept.
const LOG_BYTES: usize = 4096;

impl Module {
    /// Loads a cubin, a fatbin or PTX; for PTX the error comes with what the driver's compiler says of it.
    ///
    /// # Safety
    /// `image` must point to one: the driver reads as far as its own headers, or the zero at the end of PTX, say.
    pub(super) unsafe fn load(
        image: *const c_void,
        optimization: Option<u32>,
    ) -> std::result::Result<Self, (DriverError, String)> {
        let mut module = ptr::null_mut();
        let mut log = [0_u8; LOG_BYTES];
        let mut options = vec![
            sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER,
            sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        ];
        let mut values: Vec<*mut c_void> =
            vec![log.as_mut_ptr().cast(), ptr::without_provenance_mut(LOG_BYTES - 1)];
        if let Some(level) = optimization {
            options.push(sys::CUjit_option::CU_JIT_OPTIMIZATION_LEVEL);
            values.push(ptr::without_provenance_mut(level as usize));
        }
        // SAFETY: the option arrays have the length that is told, and the log the size; the image is the caller's word.
        let loaded = unsafe {
            let count = options.len() as c_uint;
            call!(cuModuleLoadDataEx(&mut module, image, count, options.as_mut_ptr(), values.as_mut_ptr()))
        };
        let said = || {
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
            String::from_utf8_lossy(&log[..end]).trim().to_owned()
        };
        loaded.map(|()| Self(module)).map_err(|error| (error, said()))
    }

    pub(super) fn unload(self) -> Result<()> {
        // SAFETY: the handle came from `load`, and its owner gives it up.
        unsafe { call!(cuModuleUnload(self.0)) }
    }

    pub(super) fn function(self, name: &CStr) -> Result<Function> {
        let mut function = ptr::null_mut();
        // SAFETY: the name is a C string, and the handle came from `load`.
        unsafe { call!(cuModuleGetFunction(&mut function, self.0, name.as_ptr())) }
            .map(|()| Function(function))
    }

    /// Address and size of a variable; `None` if the module has none of that name.
    pub(super) fn global(self, name: &CStr) -> Result<Option<(Address, usize)>> {
        let (mut address, mut bytes) = (0, 0);
        // SAFETY: writes two numbers; the name is a C string.
        let found = unsafe { call!(cuModuleGetGlobal_v2(&mut address, &mut bytes, self.0, name.as_ptr())) };
        match found {
            Ok(()) => Ok(Some((address, bytes))),
            Err(DriverError { code: CUresult::CUDA_ERROR_NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Function {
    pub(super) fn attribute(self, attribute: FunctionAttribute) -> Result<u64> {
        let mut value: c_int = 0;
        // SAFETY: writes a number.
        unsafe { call!(cuFuncGetAttribute(&mut value, attribute, self.0)) }.map(|()| value.max(0) as u64)
    }

    /// Lets launches ask for this many bytes of dynamic shared memory.
    pub(super) fn allow_dynamic_shared(self, bytes: u32) -> Result<()> {
        let attribute = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: sets a number on a handle that came from a module.
        unsafe { call!(cuFuncSetAttribute(self.0, attribute, bytes as c_int)) }
    }

    /// Blocks that one SM holds at a time.
    pub(super) fn blocks_per_sm(self, threads: u32, dynamic_shared: usize) -> Result<u32> {
        let mut blocks: c_int = 0;
        // SAFETY: writes a number.
        unsafe {
            call!(cuOccupancyMaxActiveBlocksPerMultiprocessor(
                &mut blocks,
                self.0,
                threads as c_int,
                dynamic_shared
            ))
        }
        .map(|()| blocks.max(0) as u32)
    }

    /// Launches it.
    ///
    /// # Safety
    /// `parameters` must point to as many pointers to values as the kernel has parameters, of their sizes.
    pub(super) unsafe fn launch(
        self,
        shape: &Shape,
        stream: Stream,
        parameters: *mut *mut c_void,
    ) -> Result<()> {
        let ([gx, gy, gz], [bx, by, bz]) = (shape.grid, shape.block);
        // SAFETY: the caller's word for the parameters; the driver checks the rest.
        unsafe {
            call!(cuLaunchKernel(
                self.0,
                gx,
                gy,
                gz,
                bx,
                by,
                bz,
                shape.dynamic_shared,
                stream.0,
                parameters,
                ptr::null_mut()
            ))
        }
    }
}

/// Grid, block and dynamic shared memory of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Bytes.
    pub dynamic_shared: u32,
}

impl Shape {
    /// A grid and a block of one dimension.
    pub(super) const fn flat(blocks: u32, threads: u32) -> Self {
        Self { grid: [blocks, 1, 1], block: [threads, 1, 1], dynamic_shared: 0 }
    }
    pub(super) fn blocks(&self) -> u64 {
        self.grid.iter().map(|size| u64::from(*size)).product()
    }
    pub(super) fn threads(&self) -> u64 {
        self.block.iter().map(|size| u64::from(*size)).product()
    }
}

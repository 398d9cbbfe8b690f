//! The functions that MLIR's `gpu-to-llvm` calls, by their names: the executable exports them to the libraries it loads.
//!
//! They have no way to answer an error. The first one is kept for whoever runs the entry, and after it nothing reaches
//! the device: handles are null and calls do nothing.

#![allow(non_snake_case, reason = "the names are MLIR's")]

use std::ffi::{CStr, c_char, c_void};

use super::driver::{self, Event, Function, Module, Shape, Stream};
use super::fault::DeviceFault;
use super::host::{Host, lock};
use crate::clock;

type Answer<T> = Result<T, DeviceFault>;

/// Does one host call: times it if calls are logged, and keeps the first fault.
fn on_host<T: Default>(kind: &str, bytes: u64, body: impl FnOnce(&mut Host) -> Answer<T>) -> T {
    let begin_ns = clock::nanoseconds();
    let mut guard = lock();
    // Without a device there is nobody to tell; a library is loaded only after one was opened.
    let Some(host) = guard.as_mut().filter(|host| host.fault.is_none()) else { return T::default() };
    let answer = body(host);
    if let Some(log) = &mut host.log {
        log.note_call(kind, bytes, begin_ns);
    }
    answer.unwrap_or_else(|fault| {
        host.fault = Some(fault);
        T::default()
    })
}

/// The same with an error of the driver.
fn on_driver<T: Default>(kind: &str, bytes: u64, body: impl FnOnce(&mut Host) -> driver::Result<T>) -> T {
    on_host(kind, bytes, |host| body(host).map_err(|error| host.fault_of(error)))
}

/// Loads a cubin.
///
/// # Safety
/// `image` points to one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgpuModuleLoad(image: *mut c_void, _bytes: usize) -> *mut c_void {
    // SAFETY: the caller's word.
    let loaded =
        on_host("other", 0, |host| unsafe { host.load(image, None) }.map(|module| module.0 as usize));
    loaded as *mut c_void
}

/// Loads PTX, compiled by the driver at an optimisation level.
///
/// # Safety
/// `image` points to PTX that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgpuModuleLoadJIT(image: *mut c_void, level: i32) -> *mut c_void {
    let level = u32::try_from(level).unwrap_or(0).min(4);
    let loaded = on_host("other", 0, |host| {
        // SAFETY: the caller's word.
        unsafe { host.load(image, Some(level)) }.map(|module| module.0 as usize)
    });
    loaded as *mut c_void
}

/// Unloads a module.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuModuleUnload(module: *mut c_void) {
    on_driver("other", 0, |host| host.unload(Module(module.cast())));
}

/// The kernel of that name.
///
/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgpuModuleGetFunction(module: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: the caller's word.
    let name = unsafe { CStr::from_ptr(name) }.to_owned();
    let found =
        on_host("other", 0, |host| host.function(Module(module.cast()), name).map(|found| found.0 as usize));
    found as *mut c_void
}

/// Launches a kernel.
///
/// # Safety
/// `parameters` points to as many pointers to values as the kernel has parameters.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "MLIR's signature")]
pub unsafe extern "C" fn mgpuLaunchKernel(
    function: *mut c_void,
    grid_x: isize,
    grid_y: isize,
    grid_z: isize,
    block_x: isize,
    block_y: isize,
    block_z: isize,
    dynamic_shared: i32,
    stream: *mut c_void,
    parameters: *mut *mut c_void,
    _extra: *mut *mut c_void,
    _count: usize,
) {
    let size = |size: isize| u32::try_from(size).unwrap_or(if size < 0 { 0 } else { u32::MAX });
    let shape = Shape {
        grid: [grid_x, grid_y, grid_z].map(size),
        block: [block_x, block_y, block_z].map(size),
        dynamic_shared: u32::try_from(dynamic_shared).unwrap_or(0),
    };
    on_host("launch", 0, |host| {
        // SAFETY: the caller's word.
        unsafe { host.launch(Function(function.cast()), &shape, Stream(stream.cast()), parameters) }
    });
}

/// A stream.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuStreamCreate() -> *mut c_void {
    on_driver("other", 0, |host| host.take_stream().map(|stream| stream.0 as usize)) as *mut c_void
}

/// Gives a stream back.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuStreamDestroy(stream: *mut c_void) {
    on_driver("other", 0, |host| {
        host.give_stream_back(Stream(stream.cast()));
        Ok(())
    });
}

/// Waits for all work of a stream.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuStreamSynchronize(stream: *mut c_void) {
    on_driver("synchronize", 0, |host| host.synchronize(Stream(stream.cast())));
}

/// Makes later work of a stream wait for an event.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuStreamWaitEvent(stream: *mut c_void, event: *mut c_void) {
    on_driver("other", 0, |host| {
        let (stream, _) = host.lane(Stream(stream.cast()))?;
        stream.wait_for(Event(event.cast()))
    });
}

/// An event.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuEventCreate() -> *mut c_void {
    on_driver("other", 0, |_| Event::new().map(|event| event.0 as usize)) as *mut c_void
}

/// Destroys an event.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuEventDestroy(event: *mut c_void) {
    on_driver("other", 0, |_| Event(event.cast()).destroy());
}

/// Waits for an event.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuEventSynchronize(event: *mut c_void) {
    on_driver("synchronize", 0, |_| Event(event.cast()).synchronize());
}

/// Records an event behind the work of a stream.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuEventRecord(event: *mut c_void, stream: *mut c_void) {
    on_driver("other", 0, |host| {
        let (stream, _) = host.lane(Stream(stream.cast()))?;
        Event(event.cast()).record(stream)
    });
}

/// Allocates device memory. Memory that host and device share is not to be had.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuMemAlloc(bytes: u64, stream: *mut c_void, host_shared: bool) -> *mut c_void {
    let address = on_host("allocate", bytes, |host| {
        if host_shared {
            let message =
                "the host code allocates memory that host and device share (`host_shared`)".to_owned();
            return Err(DeviceFault::Unsupported { message });
        }
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX / 2);
        host.allocate(bytes, Stream(stream.cast()))
    });
    address as *mut c_void
}

/// Frees device memory.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuMemFree(address: *mut c_void, stream: *mut c_void) {
    on_host("free", 0, |host| host.free(address as u64, Stream(stream.cast())));
}

/// Copies between any two addresses.
///
/// # Safety
/// Host memory among them is valid for `bytes` bytes until the stream is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgpuMemcpy(to: *mut c_void, from: *mut c_void, bytes: usize, stream: *mut c_void) {
    on_driver("copy", bytes as u64, |host| {
        let (stream, _) = host.lane(Stream(stream.cast()))?;
        // SAFETY: the caller's word.
        unsafe { driver::copy_on(stream, to as u64, from as u64, bytes) }
    });
}

/// Sets words of 32 bits.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuMemset32(to: *mut c_void, value: u32, count: usize, stream: *mut c_void) {
    on_driver("set", 4 * count as u64, |host| {
        let (stream, _) = host.lane(Stream(stream.cast()))?;
        driver::fill32_on(stream, to as u64, value, count)
    });
}

/// Sets words of 16 bits.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuMemset16(to: *mut c_void, value: u16, count: usize, stream: *mut c_void) {
    on_driver("set", 2 * count as u64, |host| {
        let (stream, _) = host.lane(Stream(stream.cast()))?;
        driver::fill16_on(stream, to as u64, value, count)
    });
}

/// Pins host memory.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuMemHostRegister(start: *mut c_void, bytes: u64) {
    on_driver("other", bytes, |_| driver::pin(start.cast(), bytes as usize));
}

/// Unpins host memory.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuMemHostUnregister(start: *mut c_void) {
    on_driver("other", 0, |_| driver::unpin(start.cast()));
}

/// Start and bytes of what a memref descriptor `{ptr, ptr, offset, sizes[rank], strides[rank]}` describes, if dense.
///
/// # Safety
/// `descriptor` points to one of this rank.
unsafe fn span_of(rank: i64, descriptor: *const i64, element_bytes: i64) -> (*mut u8, usize) {
    let rank = usize::try_from(rank).unwrap_or(0);
    // SAFETY: the caller's word.
    let words = unsafe { std::slice::from_raw_parts(descriptor, 3 + rank) };
    let elements: i64 = words[3..].iter().product();
    let start = (words[1] + words[2] * element_bytes) as usize as *mut u8;
    (start, usize::try_from(elements * element_bytes).unwrap_or(0))
}

/// Pins the memory of a memref.
///
/// # Safety
/// `descriptor` points to a memref descriptor of this rank.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgpuMemHostRegisterMemRef(rank: i64, descriptor: *const i64, element_bytes: i64) {
    // SAFETY: the caller's word.
    let (start, bytes) = unsafe { span_of(rank, descriptor, element_bytes) };
    on_driver("other", bytes as u64, |_| driver::pin(start, bytes));
}

/// Unpins the memory of a memref.
///
/// # Safety
/// `descriptor` points to a memref descriptor of this rank.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgpuMemHostUnregisterMemRef(rank: i64, descriptor: *const i64, element_bytes: i64) {
    // SAFETY: the caller's word.
    let (start, _) = unsafe { span_of(rank, descriptor, element_bytes) };
    on_driver("other", 0, |_| driver::unpin(start));
}

/// Nothing: which device it is, is the evaluation's to say.
#[unsafe(no_mangle)]
pub extern "C" fn mgpuSetDefaultDevice(_device: i32) {}

/// An address of each, for [`keep`].
struct Table([*const (); 22]);

// SAFETY: addresses of functions, which nobody writes to.
unsafe impl Sync for Table {}

static TABLE: Table = Table([
    mgpuModuleLoad as *const (),
    mgpuModuleLoadJIT as *const (),
    mgpuModuleUnload as *const (),
    mgpuModuleGetFunction as *const (),
    mgpuLaunchKernel as *const (),
    mgpuStreamCreate as *const (),
    mgpuStreamDestroy as *const (),
    mgpuStreamSynchronize as *const (),
    mgpuStreamWaitEvent as *const (),
    mgpuEventCreate as *const (),
    mgpuEventDestroy as *const (),
    mgpuEventSynchronize as *const (),
    mgpuEventRecord as *const (),
    mgpuMemAlloc as *const (),
    mgpuMemFree as *const (),
    mgpuMemcpy as *const (),
    mgpuMemset32 as *const (),
    mgpuMemset16 as *const (),
    mgpuMemHostRegister as *const (),
    mgpuMemHostUnregister as *const (),
    mgpuMemHostRegisterMemRef as *const (),
    mgpuMemHostUnregisterMemRef as *const (),
]);

/// Makes the linker keep the functions, which nothing in this program calls.
pub(crate) fn keep() {
    std::hint::black_box(&TABLE.0);
    mgpuSetDefaultDevice(0);
}

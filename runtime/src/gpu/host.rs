//! The host runtime of a process that runs kernels: streams, modules, memory, launches. One a process, behind a lock,
//! because the functions that compiled host code calls have no other argument to find it by.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kinstr_trace::device::{DeviceFacts, KernelResources, Launch};

use super::driver::{
    self, Address, CUresult, DriverError, Event, Function, FunctionAttribute, Module, Shape, Stream,
};
use super::facts::Device;
use super::fault::DeviceFault;
use super::kernels::Kernels;
use super::log::Log;
use super::memory::Memory;
use super::recording::Recording;
use super::units::Grant;

static HOST: Mutex<Option<Host>> = Mutex::new(None);

/// Shared memory that a launch may ask for without further ado, in bytes.
const PLAIN_SHARED: u32 = 48 << 10;
/// Lanes of a warp.
const WARP: u64 = 32;

/// The process's runtime.
#[derive(Debug)]
pub(super) struct Host {
    pub device: Device,
    pub kernels: Kernels,
    /// Stream of kinstr's own work.
    pub work: Stream,
    streams: Vec<Lane>,
    modules: Vec<Loaded>,
    functions: HashMap<(Module, CString), Function>,
    named: HashMap<Function, Kernel>,
    pub memory: Memory,
    last_kernel: Option<String>,
    /// The first fault; nothing reaches the device after it.
    pub fault: Option<DeviceFault>,
    pub log: Option<Log>,
    pub recording: Option<Recording>,
    /// Set while a call is timed: what its first work waits for.
    span: Option<Event>,
    /// Launches of the call that runs.
    pub launches: u32,
}

/// A stream of the candidate's. Host code that waits for each launch makes and destroys one for it, so they are kept.
#[derive(Debug)]
struct Lane {
    stream: Stream,
    taken: bool,
    /// Recorded behind its last work when that is timed.
    end: Event,
    /// Work that `end` is not behind yet.
    ahead: bool,
    /// Whether `end` was recorded in the span.
    ended: bool,
}

#[derive(Debug)]
struct Loaded {
    module: Module,
    /// Where its `__kinstr_state` is, if it has one.
    state: Option<Address>,
}

#[derive(Debug)]
struct Kernel {
    name: String,
    /// Where its module's `__kinstr_state` is, if it has one.
    state: Option<Address>,
    /// Bytes of dynamic shared memory that launches may ask for.
    shared: u32,
}

/// Locks the runtime.
pub(super) fn lock() -> MutexGuard<'static, Option<Host>> {
    // A panic while it was held would be a bug of ours; what it holds is still what the driver has.
    HOST.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// Opens device `ordinal`.
    pub(super) fn open(ordinal: u32) -> Result<Self, DeviceFault> {
        let device = Device::open(ordinal)?;
        let chip = device.facts.chip.clone();
        let fault = |error| DeviceFault::of(error, None, &chip);
        let kernels = Kernels::load().map_err(|(error, said)| DeviceFault::of_load(error, said, &chip))?;
        let work = Stream::new().map_err(fault)?;
        driver::keep_freed_memory(device.raw).map_err(fault)?;
        Ok(Self {
            device,
            kernels,
            work,
            streams: Vec::new(),
            modules: Vec::new(),
            functions: HashMap::new(),
            named: HashMap::new(),
            memory: Memory::default(),
            last_kernel: None,
            fault: None,
            log: None,
            recording: None,
            span: None,
            launches: 0,
        })
    }

    /// Sees that the device runs a kernel: one that was lost, or that another process has to itself, opens and does not.
    pub(super) fn try_out(&self) -> Result<(), DeviceFault> {
        let mut bytes = [0; 16];
        let mut run = || {
            let out = driver::allocate(bytes.len())?;
            self.kernels.stamp(self.work, out)?;
            self.work.synchronize()?;
            driver::copy_out(&mut bytes, out)?;
            driver::free(out)
        };
        run().map_err(|error| DeviceFault::Lost { message: error.to_string() })
    }

    pub(super) fn facts(&self) -> &DeviceFacts {
        &self.device.facts
    }

    /// The fault that an error of the driver means now.
    pub(super) fn fault_of(&self, error: DriverError) -> DeviceFault {
        DeviceFault::of(error, self.last_kernel.as_deref(), &self.facts().chip)
    }

    /// Waits until the device has done everything.
    pub(super) fn finish(&mut self) -> Result<(), DeviceFault> {
        driver::synchronize().map_err(|error| self.fault_of(error))?;
        match self.fault.clone() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    pub(super) fn take_stream(&mut self) -> driver::Result<Stream> {
        if let Some(lane) = self.streams.iter_mut().find(|lane| !lane.taken) {
            lane.taken = true;
            return Ok(lane.stream);
        }
        let lane =
            Lane { stream: Stream::new()?, taken: true, end: Event::new()?, ahead: false, ended: false };
        if let Some(span) = self.span {
            lane.stream.wait_for(span)?;
        }
        self.streams.push(lane);
        Ok(self.streams[self.streams.len() - 1].stream)
    }

    pub(super) fn give_stream_back(&mut self, stream: Stream) {
        if let Some(lane) = self.streams.iter_mut().find(|lane| lane.stream == stream) {
            lane.taken = false;
        }
    }

    /// The stream that host code means, and its number; null stands for one that is always there.
    pub(super) fn lane(&mut self, stream: Stream) -> driver::Result<(Stream, u32)> {
        let index = match self.streams.iter().position(|lane| lane.stream == stream) {
            Some(index) => index,
            None if self.streams.is_empty() => {
                self.take_stream()?;
                0
            }
            None => 0,
        };
        self.streams[index].ahead = true;
        Ok((self.streams[index].stream, index as u32))
    }

    /// Waits for a stream; in a span the time of its last work is noted first, so that waiting is not part of it.
    pub(super) fn synchronize(&mut self, stream: Stream) -> driver::Result<()> {
        let (stream, index) = self.lane(stream)?;
        if self.span.is_some() {
            self.streams[index as usize].note_end()?;
        }
        self.streams[index as usize].ahead = false;
        stream.synchronize()
    }

    /// Begins a span at `begin`, for which all work of the candidate's from now on waits.
    pub(super) fn begin_span(&mut self, begin: Event) -> driver::Result<()> {
        self.span = Some(begin);
        for lane in &mut self.streams {
            (lane.ahead, lane.ended) = (false, false);
            lane.stream.wait_for(begin)?;
        }
        Ok(())
    }

    /// Ends the span, and answers how many ns after its beginning the last work of any stream was done; `None` if
    /// there was none.
    pub(super) fn end_span(&mut self) -> driver::Result<Option<f64>> {
        let Some(begin) = self.span.take() else { return Ok(None) };
        for lane in self.streams.iter_mut().filter(|lane| lane.ahead) {
            lane.note_end()?;
        }
        driver::synchronize()?;
        let mut last: Option<f64> = None;
        for lane in self.streams.iter().filter(|lane| lane.ended) {
            let end = lane.end.since(begin)?;
            last = Some(last.map_or(end, |last| last.max(end)));
        }
        Ok(last)
    }

    /// # Safety
    /// As [`Module::load`].
    pub(super) unsafe fn load(
        &mut self,
        image: *const c_void,
        optimization: Option<u32>,
    ) -> Result<Module, DeviceFault> {
        // SAFETY: the caller's word.
        let loaded = unsafe { Module::load(image, optimization) };
        let chip = &self.device.facts.chip;
        let module = loaded.map_err(|(error, said)| DeviceFault::of_load(error, said, chip))?;
        let state = module.global(STATE).map_err(|error| self.fault_of(error))?;
        self.modules.push(Loaded { module, state: state.map(|(address, _)| address) });
        Ok(module)
    }

    pub(super) fn unload(&mut self, module: Module) -> driver::Result<()> {
        self.modules.retain(|loaded| loaded.module != module);
        self.functions.retain(|(of, _), _| *of != module);
        module.unload()
    }

    /// The kernel of that name.
    pub(super) fn function(&mut self, module: Module, name: CString) -> Result<Function, DeviceFault> {
        let key = (module, name);
        if let Some(function) = self.functions.get(&key) {
            return Ok(*function);
        }
        let text = key.1.to_string_lossy().into_owned();
        let function = module.function(&key.1).map_err(|error| match error.code {
            CUresult::CUDA_ERROR_NOT_FOUND => {
                DeviceFault::Unsupported { message: format!("the device code has no kernel `{text}`") }
            }
            _ => self.fault_of(error),
        })?;
        let loaded = self.modules.iter().find(|loaded| loaded.module == module);
        let state = loaded.and_then(|loaded| loaded.state);
        self.named.insert(function, Kernel { name: text, state, shared: PLAIN_SHARED });
        self.functions.insert(key, function);
        Ok(function)
    }

    /// Knows no kernels any more but those that are asked for from now on: another library may be loaded, whose kernels have
    /// the same names.
    pub(super) fn forget_kernels(&mut self) {
        self.functions.clear();
        self.named.clear();
    }

    /// What the driver says of the kernels that were asked for, in the order of their names.
    pub(super) fn resources(&self) -> driver::Result<Vec<KernelResources>> {
        use FunctionAttribute::*;
        let of = |(function, kernel): (&Function, &Kernel)| {
            Ok(KernelResources {
                kernel: kernel.name.clone(),
                registers: function.attribute(CU_FUNC_ATTRIBUTE_NUM_REGS)? as u32,
                shared_bytes: function.attribute(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)?,
                local_bytes: function.attribute(CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)?,
                ..KernelResources::default()
            })
        };
        let mut all = self.named.iter().map(of).collect::<driver::Result<Vec<_>>>()?;
        all.sort_by(|a, b| a.kernel.cmp(&b.kernel));
        Ok(all)
    }

    /// Modules that can record, by the addresses of their states.
    pub(super) fn states(&self) -> Vec<Address> {
        self.modules.iter().filter_map(|loaded| loaded.state).collect()
    }

    /// Launches a kernel for the candidate, and records it if it is to be.
    ///
    /// # Safety
    /// As [`Function::launch`].
    pub(super) unsafe fn launch(
        &mut self,
        function: Function,
        shape: &Shape,
        stream: Stream,
        parameters: *mut *mut c_void,
    ) -> Result<(), DeviceFault> {
        let name = self.named.get(&function).map_or_else(|| "?".to_owned(), |kernel| kernel.name.clone());
        if let Some(reason) = impossible(shape, self.facts()) {
            return Err(DeviceFault::Launch { kernel: name, reason });
        }
        self.allow_shared(function, shape.dynamic_shared, &name)?;
        let (stream, number) = self.lane(stream).map_err(|error| self.fault_of(error))?;
        let kept = self.begin_launch(function, shape, stream).map_err(|error| self.fault_of(error))?;
        // SAFETY: the caller's word.
        let launched = unsafe { function.launch(shape, stream, parameters) };
        self.last_kernel = Some(name.clone());
        self.launches += 1;
        launched.map_err(|error| self.refused(error, function, shape, &name))?;
        self.end_launch(kept, function, shape, (stream, number), name).map_err(|error| self.fault_of(error))
    }

    fn allow_shared(&mut self, function: Function, bytes: u32, name: &str) -> Result<(), DeviceFault> {
        if self.named.get(&function).is_none_or(|kernel| bytes <= kernel.shared) {
            return Ok(());
        }
        function.allow_dynamic_shared(bytes).map_err(|_| {
            let fixed =
                function.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES).unwrap_or(0);
            let most = self.facts().shared_bytes_per_block;
            let reason = format!(
                "it asks for {bytes} bytes of dynamic shared memory beside {fixed} fixed ones; a block may have {most}"
            );
            DeviceFault::Launch { kernel: name.to_owned(), reason }
        })?;
        if let Some(kernel) = self.named.get_mut(&function) {
            kernel.shared = bytes;
        }
        Ok(())
    }

    /// What is done before a launch that is traced or recorded.
    fn begin_launch(&mut self, function: Function, shape: &Shape, stream: Stream) -> driver::Result<Kept> {
        let warps = shape.threads().div_ceil(WARP) as u32;
        let state = self.named.get(&function).and_then(|kernel| kernel.state);
        let grant = match &mut self.recording {
            Some(recording) => Some(recording.begin_launch(state, stream, shape.blocks(), warps)?),
            None => None,
        };
        let around = match &mut self.log {
            Some(log) => log.next_launch()?,
            None => None,
        };
        if let Some([before, _]) = around {
            before.record(stream)?;
        }
        Ok(Kept { grant, around })
    }

    fn end_launch(
        &mut self,
        kept: Kept,
        function: Function,
        shape: &Shape,
        (stream, number): (Stream, u32),
        kernel: String,
    ) -> driver::Result<()> {
        if let Some([_, after]) = kept.around {
            after.record(stream)?;
        }
        if let (Some(log), Some(around)) = (&mut self.log, kept.around) {
            let threads = shape.threads() as u32;
            let launch = Launch {
                number: kept.grant.and_then(|grant| grant.own_number()).unwrap_or(self.launches - 1),
                kernel,
                grid: shape.grid,
                block: shape.block,
                dynamic_shared_bytes: shape.dynamic_shared.into(),
                stream: number,
                device_ns: None,
                blocks_per_sm: function.blocks_per_sm(threads, shape.dynamic_shared as usize)?,
                block_shift: kept.grant.map_or(0, |grant| grant.block_shift),
                first_unit: kept.grant.and_then(|grant| grant.own_first_unit()),
                units: kept.grant.map_or(0, |grant| grant.units),
            };
            log.note_launch(launch, around);
        }
        Ok(())
    }

    /// Why a launch failed that looked possible.
    fn refused(&self, error: DriverError, function: Function, shape: &Shape, name: &str) -> DeviceFault {
        let kernel = name.to_owned();
        match error.code {
            CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES => {
                let registers =
                    function.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_NUM_REGS).unwrap_or(0);
                let threads = shape.threads();
                let reason = format!(
                    "{threads} threads of {registers} registers each, or its shared memory, are more than an SM has"
                );
                DeviceFault::Launch { kernel, reason }
            }
            CUresult::CUDA_ERROR_INVALID_VALUE => {
                DeviceFault::Launch { kernel, reason: driver::words(error.code) }
            }
            _ => self.fault_of(error),
        }
    }
}

/// What was begun before a launch.
struct Kept {
    grant: Option<Grant>,
    around: Option<[Event; 2]>,
}

impl Lane {
    fn note_end(&mut self) -> driver::Result<()> {
        (self.ahead, self.ended) = (false, true);
        self.end.record(self.stream)
    }
}

const STATE: &std::ffi::CStr = c"__kinstr_state";

/// Why no device of these limits could do such a launch.
fn impossible(shape: &Shape, facts: &DeviceFacts) -> Option<String> {
    let by = |sizes: [u32; 3]| sizes.map(|size| size.to_string()).join("×");
    if shape.blocks() == 0 {
        return Some(format!("its grid is {}: there is no block", by(shape.grid)));
    }
    if shape.threads() == 0 {
        return Some(format!("its block is {}: there is no thread", by(shape.block)));
    }
    let most = u64::from(facts.max_threads_per_block);
    if shape.threads() > most {
        let (block, threads) = (by(shape.block), shape.threads());
        return Some(format!("its block is {block}, {threads} threads; a block may have {most}"));
    }
    if shape.grid[1].max(shape.grid[2]) > 65_535 {
        return Some(format!("its grid is {}; only the first size may be above 65535", by(shape.grid)));
    }
    if u64::from(shape.dynamic_shared) > facts.shared_bytes_per_block {
        let (asked, most) = (shape.dynamic_shared, facts.shared_bytes_per_block);
        return Some(format!("it asks for {asked} bytes of shared memory; a block may have {most}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> DeviceFacts {
        DeviceFacts { max_threads_per_block: 1024, shared_bytes_per_block: 1000, ..DeviceFacts::default() }
    }

    #[test]
    fn launches_that_no_device_can_do_are_refused_with_the_reason() {
        let why = |grid, block, dynamic_shared| {
            impossible(&Shape { grid, block, dynamic_shared }, &facts()).unwrap_or_default()
        };
        assert_eq!(why([1, 1, 1], [32, 32, 1], 1000), "");
        assert!(why([0, 1, 1], [32, 1, 1], 0).contains("no block"));
        assert!(why([1, 1, 1], [32, 33, 1], 0).contains("1056 threads"));
        assert!(why([1, 70_000, 1], [32, 1, 1], 0).contains("65535"));
        assert!(why([1, 1, 1], [32, 1, 1], 1001).contains("1001 bytes"));
    }
}

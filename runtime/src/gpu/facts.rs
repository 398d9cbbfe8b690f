//! What a device is.

use kinstr_trace::device::DeviceFacts;

use super::driver::{self, Attribute};
use super::fault::DeviceFault;

/// A device with a context in this process.
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// The driver's number of it.
    pub raw: i32,
    /// Its unique id.
    pub uuid: String,
    pub facts: DeviceFacts,
}

impl Device {
    /// Opens device `ordinal` of those visible.
    pub(super) fn open(ordinal: u32) -> Result<Self, DeviceFault> {
        let device = Self::look(ordinal)?;
        driver::open_context(device.raw).map_err(fault)?;
        Ok(device)
    }

    /// Asks the driver what device `ordinal` is; makes no context.
    pub(super) fn look(ordinal: u32) -> Result<Self, DeviceFault> {
        let count = count()?;
        if ordinal >= count {
            return Err(DeviceFault::NoDevice { ordinal, count });
        }
        let raw = driver::device(ordinal).map_err(fault)?;
        let uuid = driver::uuid(raw).map_err(fault)?;
        Ok(Self { raw, uuid, facts: facts(raw).map_err(fault)? })
    }

    /// Name, unit and driver: what peaks belong to.
    pub(super) fn identity(&self) -> String {
        format!(
            "{} [{}, driver {}]",
            self.facts.name,
            &self.uuid[..self.uuid.len().min(8)],
            self.facts.driver
        )
    }
}

/// Devices that the driver shows.
pub(super) fn count() -> Result<u32, DeviceFault> {
    if !driver::is_present() {
        return Err(DeviceFault::NoDriver { message: "libcuda.so cannot be loaded".into() });
    }
    let absent = |error: driver::DriverError| match error.code {
        driver::CUresult::CUDA_ERROR_NO_DEVICE => DeviceFault::NoDevice { ordinal: 0, count: 0 },
        _ => DeviceFault::NoDriver { message: error.to_string() },
    };
    driver::initialize().map_err(absent)?;
    driver::device_count().map_err(absent)
}

fn fault(error: driver::DriverError) -> DeviceFault {
    DeviceFault::of(error, None, "this device")
}

fn facts(device: i32) -> driver::Result<DeviceFacts> {
    use Attribute::*;
    let number = |attribute| driver::attribute(device, attribute);
    let short = |attribute| number(attribute).map(|value| value as u32);
    let (major, minor) = (
        number(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        number(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    Ok(DeviceFacts {
        name: driver::name(device)?,
        chip: format!("sm_{major}{minor}"),
        driver: version(),
        sm_count: short(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        max_threads_per_sm: short(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR)?,
        max_blocks_per_sm: short(CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR)?,
        registers_per_sm: short(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR)?,
        shared_bytes_per_sm: number(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)?,
        shared_bytes_per_block: number(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        max_threads_per_block: short(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?,
        l2_bytes: number(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?,
        memory_bytes: driver::memory_bytes(device)?,
    })
}

/// The driver's own version where the system tells, else the CUDA version that it is for.
fn version() -> String {
    let kernel = std::fs::read_to_string("/sys/module/nvidia/version").map(|text| text.trim().to_owned());
    kernel.or_else(|_| kernel_module()).unwrap_or_else(|_| {
        let version = driver::version().unwrap_or(0);
        format!("for CUDA {}.{}", version / 1000, version % 1000 / 10)
    })
}

/// From a line such as `NVRM version: NVIDIA UNIX … Kernel Module  580.159.04  Release …`.
fn kernel_module() -> std::io::Result<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version")?;
    let is_version = |word: &&str| {
        word.contains('.') && word.split('.').all(|part| part.chars().all(|letter| letter.is_ascii_digit()))
    };
    let word = text.split_whitespace().find(is_version);
    word.map(str::to_owned).ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

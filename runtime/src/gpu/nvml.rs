//! The state of a device as its management library tells it: clocks, temperature, and what slows it down.
//!
//! The library comes with the driver but not with every container, so that it is looked for when it is asked and its absence
//! is an answer.

use std::ffi::{CString, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::sync::OnceLock;

use kinstr_trace::device::DeviceState;
use libloading::{Library, Symbol};

use super::{driver, facts};

/// Names of the library, the one that a driver installs first.
const NAMES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
/// `NVML_CLOCK_SM`, `NVML_CLOCK_MEM` and `NVML_TEMPERATURE_GPU`.
const CLOCK_SM: c_int = 1;
const CLOCK_MEMORY: c_int = 2;
const TEMPERATURE: c_int = 0;
/// Bits of `nvmlClocksEventReasons` that mean less speed than the device has when it is cool and alone.
const SLOWING: [(u64, &str); 5] = [
    (0x4, "power cap"),
    (0x8, "hardware slowdown"),
    (0x20, "temperature, by software"),
    (0x40, "temperature, by hardware"),
    (0x80, "power brake"),
];

type Init = unsafe extern "C" fn() -> c_int;
type Handle = unsafe extern "C" fn(*const c_char, *mut *mut c_void) -> c_int;
type Number = unsafe extern "C" fn(*mut c_void, c_int, *mut c_uint) -> c_int;
type Reasons = unsafe extern "C" fn(*mut c_void, *mut c_ulonglong) -> c_int;

/// The state of device `ordinal` now.
///
/// # Errors
/// A sentence that says why it is not known.
pub fn state(ordinal: u32) -> Result<DeviceState, String> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    // The driver is asked for the device's unique id.
    facts::count().map_err(|fault| fault.to_string())?;
    let library = LIBRARY.get_or_init(open).as_ref().map_err(Clone::clone)?;
    let device = handle(library, ordinal)?;
    let number = |name: &str, kind: c_int| {
        let mut value: c_uint = 0;
        let function: Symbol<'_, Number> = find(library, name)?;
        // SAFETY: the function has this signature; it writes a number.
        done(name, unsafe { function(device, kind, &mut value) }).map(|()| value)
    };
    Ok(DeviceState {
        sm_clock_mhz: number("nvmlDeviceGetClockInfo", CLOCK_SM)?,
        memory_clock_mhz: number("nvmlDeviceGetClockInfo", CLOCK_MEMORY)?,
        most_sm_clock_mhz: number("nvmlDeviceGetMaxClockInfo", CLOCK_SM)?,
        temperature_c: number("nvmlDeviceGetTemperature", TEMPERATURE)?,
        slowed_by: slowing(library, device)?,
    })
}

fn open() -> Result<Library, String> {
    // SAFETY: a library of the vendor's by its well-known name, whose constructors are the system's own.
    let opened = NAMES.into_iter().find_map(|name| unsafe { Library::new(name) }.ok());
    let library = opened.ok_or_else(|| format!("{} cannot be loaded", NAMES[0]))?;
    let init: Symbol<'_, Init> = find(&library, "nvmlInit_v2")?;
    // SAFETY: takes nothing.
    done("nvmlInit_v2", unsafe { init() })?;
    Ok(library)
}

/// The library's handle of the device: it counts devices that the driver may hide, so that it is found by its unique id.
fn handle(library: &Library, ordinal: u32) -> Result<*mut c_void, String> {
    let id = driver::device(ordinal).and_then(driver::uuid).map_err(|error| error.to_string())?;
    let id = CString::new(dashed(&id)).map_err(|error| error.to_string())?;
    let mut device = std::ptr::null_mut();
    let function: Symbol<'_, Handle> = find(library, "nvmlDeviceGetHandleByUUID")?;
    // SAFETY: reads a C string and writes a handle.
    done("nvmlDeviceGetHandleByUUID", unsafe { function(id.as_ptr(), &mut device) })?;
    Ok(device)
}

fn slowing(library: &Library, device: *mut c_void) -> Result<Vec<String>, String> {
    // The older name is in every library, the newer one in new ones alone.
    let name = "nvmlDeviceGetCurrentClocksThrottleReasons";
    let function: Symbol<'_, Reasons> = find(library, name)?;
    let mut reasons = 0;
    // SAFETY: writes a number; the handle came from the library.
    done(name, unsafe { function(device, &mut reasons) })?;
    Ok(SLOWING.iter().filter(|(bit, _)| reasons & bit != 0).map(|(_, name)| (*name).to_owned()).collect())
}

fn find<'l, T>(library: &'l Library, name: &str) -> Result<Symbol<'l, T>, String> {
    // SAFETY: the callers name the type that the library's header gives the function.
    unsafe { library.get(name) }.map_err(|_| format!("the management library has no `{name}`"))
}

fn done(name: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("{name} answers {code}")) }
}

/// As the library writes a unique id: `GPU-8-4-4-4-12` hexadecimal digits.
fn dashed(id: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = id;
    for digits in [8, 4, 4, 4] {
        let (part, after) = rest.split_at(digits.min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    format!("GPU-{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_id_is_written_as_the_library_wants_it() {
        let id = "5cfb81a6a1b2c3d4e5f60718293a4b5c";
        assert_eq!(dashed(id), "GPU-5cfb81a6-a1b2-c3d4-e5f6-0718293a4b5c");
        assert_eq!(dashed("12"), "GPU-12----");
    }
}

//! What can go wrong on a device, told apart.

use serde::{Deserialize, Serialize};

use super::driver::{CUresult, DriverError, words};

/// A fault of a device, of its driver, or of code that runs on it. A reply carries it to the parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum DeviceFault {
    /// The driver's library is not there, or does not start.
    #[error("there is no NVIDIA driver: {message}")]
    NoDriver {
        /// What was found instead.
        message: String,
    },
    /// There is no device of that number.
    #[error("there is no device {ordinal}: the driver shows {count}")]
    NoDevice {
        /// Number asked for.
        ordinal: u32,
        /// Devices there are.
        count: u32,
    },
    /// A kernel accessed memory that it may not.
    #[error("a kernel accesses an address that is not its memory{}", of(.kernel))]
    IllegalAddress {
        /// Last kernel launched.
        kernel: Option<String>,
    },
    /// A kernel made an access whose address does not fit its width.
    #[error("a kernel makes a misaligned access{}", of(.kernel))]
    Misaligned {
        /// Last kernel launched.
        kernel: Option<String>,
    },
    /// A kernel trapped, ran out of stack, or executed what this device does not have.
    #[error("a kernel stops on the device: {message}{}", of(.kernel))]
    Trapped {
        /// The driver's words.
        message: String,
        /// Last kernel launched.
        kernel: Option<String>,
    },
    /// Device memory ran out, or the limit on it.
    #[error("no device memory for {bytes} bytes{}", limited(.limit))]
    OutOfMemory {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes that may be allocated in all, if that was the reason.
        limit: Option<u64>,
    },
    /// The tensors of the problem do not fit into device memory.
    #[error("the tensors need {bytes} bytes of device memory more than are free")]
    NoRoom {
        /// Bytes of the allocation that failed.
        bytes: u64,
    },
    /// A kernel wrote outside memory that the host code had allocated.
    #[error("a kernel writes {} the {bytes} bytes that the host code allocated", if *.before { "before" } else { "past" })]
    Overrun {
        /// Bytes of the allocation.
        bytes: u64,
        /// Whether before its start.
        before: bool,
    },
    /// A launch that no device of this kind can do.
    #[error("kernel `{kernel}` cannot be launched: {reason}")]
    Launch {
        /// Kernel.
        kernel: String,
        /// Why.
        reason: String,
    },
    /// Device code that was made for another compute capability.
    #[error("the device code does not run on {chip}: {message}")]
    NoImage {
        /// Code generation's name of the device.
        chip: String,
        /// The driver's words.
        message: String,
    },
    /// Device code that the driver does not take.
    #[error("the driver does not load the device code: {message}")]
    DoesNotLoad {
        /// Its words.
        message: String,
    },
    /// A kernel or feature that the host code asks for and that is not there.
    #[error("{message}")]
    Unsupported {
        /// What.
        message: String,
    },
    /// The device, or the driver's hold on it, is gone.
    #[error("the device is lost: {message}")]
    Lost {
        /// The driver's words.
        message: String,
    },
    /// Any other call that failed.
    #[error("the driver refuses: {message}")]
    Refused {
        /// Call and words.
        message: String,
    },
}

impl DeviceFault {
    /// Of an error of the driver, after `kernel` was the last to be launched.
    pub(super) fn of(error: DriverError, kernel: Option<&str>, chip: &str) -> Self {
        use CUresult::*;
        let kernel = kernel.map(str::to_owned);
        let message = words(error.code);
        match error.code {
            CUDA_ERROR_ILLEGAL_ADDRESS | CUDA_ERROR_INVALID_ADDRESS_SPACE => Self::IllegalAddress { kernel },
            CUDA_ERROR_MISALIGNED_ADDRESS => Self::Misaligned { kernel },
            CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUDA_ERROR_INVALID_PC
            | CUDA_ERROR_LAUNCH_FAILED
            | CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUDA_ERROR_LAUNCH_TIMEOUT
            | CUDA_ERROR_ASSERT => Self::Trapped { message, kernel },
            CUDA_ERROR_OUT_OF_MEMORY => Self::OutOfMemory { bytes: 0, limit: None },
            CUDA_ERROR_NO_BINARY_FOR_GPU | CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
                Self::NoImage { chip: chip.to_owned(), message }
            }
            CUDA_ERROR_INVALID_IMAGE | CUDA_ERROR_INVALID_PTX | CUDA_ERROR_INVALID_SOURCE => {
                Self::DoesNotLoad { message }
            }
            CUDA_ERROR_NO_DEVICE
            | CUDA_ERROR_DEVICE_UNAVAILABLE
            | CUDA_ERROR_DEVICE_NOT_LICENSED
            | CUDA_ERROR_ECC_UNCORRECTABLE
            | CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUDA_ERROR_NOT_PERMITTED
            | CUDA_ERROR_SYSTEM_NOT_READY
            | CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
            | CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUDA_ERROR_EXTERNAL_DEVICE
            | CUDA_ERROR_OPERATING_SYSTEM
            | CUDA_ERROR_UNKNOWN => Self::Lost { message: format!("{}: {message}", error.call) },
            _ => Self::Refused { message: error.to_string() },
        }
    }

    /// Of device code that the driver did not load, with what its compiler said of it.
    pub(super) fn of_load(error: DriverError, said: String, chip: &str) -> Self {
        match Self::of(error, None, chip) {
            Self::NoImage { chip, message } if !said.is_empty() => {
                Self::NoImage { chip, message: format!("{message}: {said}") }
            }
            Self::DoesNotLoad { message } if !said.is_empty() => {
                Self::DoesNotLoad { message: format!("{message}: {said}") }
            }
            other => other,
        }
    }

    /// Whether the machine is to blame, and not the code that runs on it.
    pub const fn is_of_the_machine(&self) -> bool {
        matches!(
            self,
            Self::NoDriver { .. } | Self::NoDevice { .. } | Self::NoRoom { .. } | Self::Lost { .. }
        )
    }

    /// Stable kebab-case name of the cause.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoDriver { .. } => "no-driver",
            Self::NoDevice { .. } => "no-device",
            Self::IllegalAddress { .. } => "illegal-address",
            Self::Misaligned { .. } => "misaligned-address",
            Self::Trapped { .. } => "kernel-trapped",
            Self::OutOfMemory { .. } => "out-of-device-memory",
            Self::NoRoom { .. } => "no-room-on-device",
            Self::Overrun { .. } => "out-of-bounds",
            Self::Launch { .. } => "launch-failed",
            Self::NoImage { .. } => "wrong-compute-capability",
            Self::DoesNotLoad { .. } => "does-not-load",
            Self::Unsupported { .. } => "unsupported-by-runtime",
            Self::Lost { .. } => "device-lost",
            Self::Refused { .. } => "driver-refused",
        }
    }

    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoDriver { .. } => {
                "targets `cuda` need an NVIDIA driver; `kinstr doctor` says what is there"
            }
            Self::NoDevice { .. } => "devices are numbered from 0; CUDA_VISIBLE_DEVICES may hide some",
            Self::IllegalAddress { .. } => "check the bounds of every thread, above all in the last block",
            Self::Misaligned { .. } => "a vector access needs an address that is a multiple of its width",
            Self::Trapped { .. } => "an assertion, a trap or an instruction that this device lacks ended it",
            Self::OutOfMemory { .. } => "is what it allocates freed on every call? --memory gives it more",
            Self::NoRoom { .. } => "give the workload smaller axes, or evaluate on a device with more memory",
            Self::Overrun { .. } => "check the bounds of every thread, above all in the last block",
            Self::Launch { .. } => "check grid, block and shared memory against the device's limits",
            Self::NoImage { .. } => "leave the chip to kinstr, which builds for the device it runs on",
            Self::DoesNotLoad { .. } => {
                "the device code breaks a rule of PTX, or needs more than the device has"
            }
            Self::Unsupported { .. } => "kernels get device memory of their own, and no managed memory",
            Self::Lost { .. } => "`nvidia-smi` says how the device is; the next evaluation opens it anew",
            Self::Refused { .. } => "the host code asks the driver for what it does not do",
        }
    }
}

fn of(kernel: &Option<String>) -> String {
    kernel.as_ref().map_or_else(String::new, |kernel| format!(" (last launched: `{kernel}`)"))
}

fn limited(limit: &Option<u64>) -> String {
    limit.map_or_else(String::new, |limit| format!(" within the limit of {} MiB", limit >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: CUresult) -> DeviceFault {
        DeviceFault::of(DriverError { call: "cuLaunchKernel", code }, Some("k"), "sm_90")
    }

    #[test]
    fn what_a_kernel_does_is_told_from_what_the_machine_does() {
        assert_eq!(fault(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS).kind(), "illegal-address");
        assert!(!fault(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS).is_of_the_machine());
        assert_eq!(fault(CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU).kind(), "wrong-compute-capability");
        assert_eq!(fault(CUresult::CUDA_ERROR_ECC_UNCORRECTABLE).kind(), "device-lost");
        assert!(fault(CUresult::CUDA_ERROR_UNKNOWN).is_of_the_machine());
        assert_eq!(fault(CUresult::CUDA_ERROR_INVALID_HANDLE).kind(), "driver-refused");
    }

    #[test]
    fn a_fault_survives_the_way_to_the_parent() {
        let fault = fault(CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
        let text = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<DeviceFault>(&text).unwrap(), fault);
        assert!(fault.to_string().contains("`k`"));
    }
}

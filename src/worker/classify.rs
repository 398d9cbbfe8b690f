//! From the way a worker died to what its candidate did.

use kinstr_runtime::arena::{GuardHit, Layout, Place, Role};
use kinstr_runtime::gpu::DeviceFault;
use kinstr_runtime::worker::protocol::RefusalKind;
use kinstr_runtime::worker::{Control, EXIT_INTERNAL, LastSignal, Phase};

use super::death::Death;
use super::fault::{CandidateFault, Fault, InfrastructureFault, InternalFault};
use super::limits::Limits;
use super::reply::Refusal;

/// Addresses below this count as null: a null pointer plus an offset into a small object.
const NULL_BYTES: u64 = 64 << 10;
/// `si_code` of a fault for which the processor gives no address: on x86-64 a general protection fault.
const SI_KERNEL: i32 = 0x80;
/// `si_code` of an integer division by zero.
const FPE_INTDIV: i32 = 1;
/// Exit status of a Rust program that panicked.
const PANICKED: i32 = 101;

/// What is known about a worker when it has died.
pub(super) struct Scene<'a> {
    pub(super) control: &'a Control,
    pub(super) layout: &'a Layout,
    pub(super) limits: Limits,
    /// Whether candidate code has ever run in it.
    pub(super) tainted: bool,
    /// Last line on its standard error.
    pub(super) last_words: String,
    /// Whether a Rust panic is on its standard error.
    pub(super) panicked: bool,
}

impl Scene<'_> {
    /// Whose fault `death` is, and what it was.
    pub(super) fn classify(&self, death: Death) -> Fault {
        match death {
            Death::Exited { code } => self.exited(code),
            Death::Signalled { signal } => self.signalled(signal),
            Death::TimedOut { limit, peak_bytes } => match self.memory_limit(peak_bytes.unwrap_or(0)) {
                Some(limit_bytes) => CandidateFault::MemoryLimit { limit_bytes }.into(),
                None => CandidateFault::TimedOut { limit }.into(),
            },
            Death::OutOfTime { limit } => CandidateFault::WallLimit { limit }.into(),
            Death::BrokenProtocol(detail) => CandidateFault::Interferes { detail }.into(),
            Death::Gone => InternalFault::AlreadyEnded.into(),
            Death::System(error) => InfrastructureFault::System(error).into(),
        }
    }

    fn exited(&self, code: i32) -> Fault {
        match (self.tainted, self.control.phase(), code) {
            (false, ..) => self.ended(format!("exit status {code}")),
            // The status and the phase alone could be the candidate's.
            (true, Phase::Own, PANICKED) if self.panicked => self.ended(format!("exit status {code}")),
            // The worker itself gave up: with a candidate in it, because its channels were tampered with.
            (true, Phase::Own, EXIT_INTERNAL) => {
                CandidateFault::Interferes { detail: self.last_words.clone() }.into()
            }
            (true, ..) => CandidateFault::CalledExit { code }.into(),
        }
    }

    fn signalled(&self, signal: i32) -> Fault {
        let limits = self.limits;
        match signal {
            libc::SIGXCPU => return CandidateFault::CpuLimit { limit: limits.cpu }.into(),
            libc::SIGXFSZ => return CandidateFault::FileSizeLimit { limit_bytes: limits.file_bytes }.into(),
            libc::SIGKILL => return InfrastructureFault::Killed.into(),
            _ if !self.tainted => return self.ended(format!("signal {signal}")),
            _ => {}
        }
        let last = self.control.last_signal().filter(|last| last.signal == signal);
        // Without a handler's note it was another thread's stack that overflowed, or a signal that
        // needs no handler.
        last.map_or(CandidateFault::Crashed { signal }, |last| self.fatal(last)).into()
    }

    fn fatal(&self, last: LastSignal) -> CandidateFault {
        match last.signal {
            libc::SIGSEGV | libc::SIGBUS if last.code > 0 => self.bad_access(last),
            libc::SIGFPE if last.code == FPE_INTDIV => CandidateFault::DivisionByZero,
            libc::SIGILL | libc::SIGTRAP if last.code > 0 => {
                CandidateFault::IllegalInstruction { program_counter: last.program_counter }
            }
            libc::SIGABRT => match self.memory_limit(last.address_space) {
                Some(limit_bytes) => CandidateFault::MemoryLimit { limit_bytes },
                None => CandidateFault::Aborted { last_words: self.last_words.clone() },
            },
            signal => CandidateFault::Crashed { signal },
        }
    }

    fn bad_access(&self, last: LastSignal) -> CandidateFault {
        let LastSignal { address, writing, .. } = last;
        if last.code == SI_KERNEL {
            return CandidateFault::InvalidAccess;
        }
        if self.control.is_stack_overflow(address, last.stack_pointer) {
            return CandidateFault::StackOverflow;
        }
        if address < NULL_BYTES {
            return match self.memory_limit(last.address_space) {
                Some(limit_bytes) => CandidateFault::MemoryLimit { limit_bytes },
                None => CandidateFault::NullDereference { address },
            };
        }
        let offset = self.control.arena_offset(address, self.layout.bytes);
        match offset.and_then(|offset| self.layout.locate(offset)) {
            Some((buffer, Place::Inside(offset))) if buffer.role == Role::Input => {
                CandidateFault::WritesInput { buffer: buffer.name.clone(), offset }
            }
            Some((buffer, place)) => {
                CandidateFault::OutOfBounds { buffer: buffer.name.clone(), place, writing }
            }
            None => CandidateFault::BadAddress { address, writing },
        }
    }

    /// The limit on memory, if `address_space` is so close to it that an allocation has failed.
    fn memory_limit(&self, address_space: u64) -> Option<u64> {
        let (memory, limit) = (self.limits.memory?, self.control.address_space_limit()?);
        // A tenth: the allocation that failed may itself have been large.
        (address_space >= limit.saturating_sub(memory / 10)).then_some(memory)
    }

    fn ended(&self, how: String) -> Fault {
        InternalFault::WorkerEnded { how, last_words: self.last_words.clone() }.into()
    }
}

/// Whose fault it is that a worker refuses a request.
pub(super) fn classify_refusal(refusal: Refusal) -> Fault {
    let message = refusal.message;
    let device = refusal.details.get("device").cloned();
    if let Some(fault) = device.and_then(|fault| serde_json::from_value::<DeviceFault>(fault).ok()) {
        return match fault.is_of_the_machine() {
            true => InfrastructureFault::Device(fault).into(),
            false => CandidateFault::Device(fault).into(),
        };
    }
    match serde_json::from_value::<RefusalKind>(refusal.kind.into()) {
        Ok(RefusalKind::DoesNotLoad) => CandidateFault::DoesNotLoad { message }.into(),
        Ok(RefusalKind::System | RefusalKind::Device) => InfrastructureFault::Worker(message).into(),
        Ok(RefusalKind::NoEntry | RefusalKind::NoState | RefusalKind::BadRequest) | Err(_) => {
            InternalFault::Refused(message).into()
        }
    }
}

impl From<GuardHit> for CandidateFault {
    fn from(hit: GuardHit) -> Self {
        Self::OutOfBounds { buffer: hit.buffer, place: hit.place, writing: true }
    }
}

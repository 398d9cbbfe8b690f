//! Fatal signals: noted on the control page, then died of.

use std::io;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use super::control::Control;

/// Signals that end a candidate by its own doing.
const FATAL: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP];
/// Bytes of the stack that handlers run on, because the candidate's own may be what ran out.
const HANDLER_STACK_BYTES: usize = 64 << 10;

static CONTROL: AtomicPtr<Control> = AtomicPtr::new(std::ptr::null_mut());

/// Notes fatal signals of this process on `control`, on a stack of its own for the calling thread.
pub(super) fn install(control: &'static Control) -> io::Result<()> {
    CONTROL.store(std::ptr::from_ref(control).cast_mut(), Relaxed);
    let memory = Box::leak(vec![0_u8; HANDLER_STACK_BYTES].into_boxed_slice());
    let stack =
        libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: HANDLER_STACK_BYTES };
    // SAFETY: the stack is leaked, so it outlives every handler.
    if unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    FATAL.into_iter().try_for_each(handle)
}

fn handle(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: all zero is a valid sigaction: no flags, empty mask, default handler.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = note as *const () as usize;
    // Back to the default before the handler runs, so that the signal still ends the process.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
    // SAFETY: `note` has the signature SA_SIGINFO asks for and does only what a handler may.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Handler. On return a fault happens again, and a signal that was sent is raised again: either way
/// the process ends by it, as its parent expects.
extern "C" fn note(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: `install` stored a reference that is valid for the life of the process; the kernel
    // passes valid `info` and `context`; what is called is async-signal-safe.
    unsafe {
        let Some(control) = CONTROL.load(Relaxed).as_ref() else { return };
        let place = registers(&*context.cast::<libc::ucontext_t>());
        control.code.store((*info).si_code, Relaxed);
        control.address.store((*info).si_addr() as u64, Relaxed);
        control.program_counter.store(place.program_counter, Relaxed);
        control.stack_pointer.store(place.stack_pointer, Relaxed);
        control.writing.store(place.writing.into(), Relaxed);
        control.address_space.store(address_space().unwrap_or(0), Relaxed);
        control.signal.store(signal, Relaxed);
        if (*info).si_code <= 0 {
            libc::raise(signal);
        }
    }
}

struct Registers {
    program_counter: u64,
    stack_pointer: u64,
    writing: bool,
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    /// Bit of a page fault's error code that says the access was a write (Intel SDM, vol. 3, 4.7).
    const WRITE: i64 = 1 << 1;
    let registers = &context.uc_mcontext.gregs;
    Registers {
        program_counter: registers[libc::REG_RIP as usize] as u64,
        stack_pointer: registers[libc::REG_RSP as usize] as u64,
        writing: registers[libc::REG_ERR as usize] & WRITE != 0,
    }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let registers = &context.uc_mcontext;
    Registers { program_counter: registers.pc, stack_pointer: registers.sp, writing: false }
}

/// Bytes of address space in use, read without allocating.
pub(super) fn address_space() -> Option<u64> {
    let mut text = [0_u8; 32];
    // SAFETY: open, read and close are async-signal-safe; `text` has the room that read is told of.
    let bytes = unsafe {
        let file = libc::open(c"/proc/self/statm".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let bytes = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        usize::try_from(bytes).ok()?
    };
    let digits = text[..bytes].iter().take_while(|byte| byte.is_ascii_digit());
    let pages = digits.fold(0_u64, |pages, digit| pages * 10 + u64::from(digit - b'0'));
    Some(pages * crate::shared::page_bytes() as u64)
}

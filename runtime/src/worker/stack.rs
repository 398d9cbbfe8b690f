//! The stack that candidate code runs on, with known bounds.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use super::control::Control;

/// Bytes of the stack: what a main thread has on Linux by default.
const STACK_BYTES: usize = 8 << 20;
/// Bytes below it that may not be touched, wide because kernels put whole tensors on the stack, and a
/// frame that reaches past the guard would land in other memory unseen.
const GUARD_BYTES: usize = 256 << 20;

/// Runs `body`, which never returns, on a thread whose stack bounds stand on the control page.
pub(super) fn run_on_known_stack(control: &'static Control, body: fn(&'static Control) -> !) -> io::Error {
    let task = Box::into_raw(Box::new(Task { control, body }));
    // SAFETY: the mapping is fresh and stays for the life of the process; the attributes are
    // initialised before use; `task` is handed over to the one thread that is created.
    unsafe {
        let base = libc::mmap(
            std::ptr::null_mut(),
            GUARD_BYTES + STACK_BYTES,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        );
        if base == libc::MAP_FAILED {
            return io::Error::last_os_error();
        }
        let stack = base.cast::<u8>().add(GUARD_BYTES);
        if libc::mprotect(stack.cast(), STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE) != 0 {
            return io::Error::last_os_error();
        }
        control.stack_guard.store(base as u64, Relaxed);
        control.stack.store(stack as u64, Relaxed);
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        let mut thread: libc::pthread_t = std::mem::zeroed();
        let error = match libc::pthread_attr_init(&mut attributes) {
            0 => libc::pthread_attr_setstack(&mut attributes, stack.cast(), STACK_BYTES),
            error => error,
        };
        let error = match error {
            0 => libc::pthread_create(&mut thread, &attributes, start, task.cast()),
            error => error,
        };
        if error != 0 {
            return io::Error::from_raw_os_error(error);
        }
        libc::pthread_join(thread, std::ptr::null_mut());
        io::Error::other("the worker's thread ended")
    }
}

struct Task {
    control: &'static Control,
    body: fn(&'static Control) -> !,
}

extern "C" fn start(task: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `task` is the box that `run_on_known_stack` gave up for this thread.
    let task = unsafe { Box::from_raw(task.cast::<Task>()) };
    (task.body)(task.control)
}

//! What the first touch of a page costs.

use std::io;

use crate::shared::page_bytes;

/// Bytes touched at a time: below the smallest huge page, so that each page is a fault of its own.
const BYTES: usize = 1 << 20;

/// Maps fresh memory, touches every page of it and gives it back, as a kernel does that allocates a temporary on every
/// call. Answers the pages.
pub(super) fn touch_fresh_pages() -> io::Result<usize> {
    // SAFETY: a fresh private mapping, written within its bounds and unmapped before anyone else knows of it.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base = libc::mmap(std::ptr::null_mut(), BYTES, protection, flags, -1, 0);
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        for page in (0..BYTES).step_by(page_bytes()) {
            base.cast::<u8>().add(page).write_volatile(1);
        }
        libc::munmap(base, BYTES);
    }
    Ok(BYTES / page_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_touched_page_is_a_fault() {
        let faults = || {
            // SAFETY: all zero is a value of this struct, and getrusage fills it in.
            unsafe {
                let mut usage: libc::rusage = std::mem::zeroed();
                libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
                usage.ru_minflt
            }
        };
        let before = faults();
        let pages = touch_fresh_pages().unwrap();
        assert!(faults() - before >= pages as i64, "{pages} pages");
    }
}

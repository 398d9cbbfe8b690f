//! Conditions of a run that a worker can change: what the caches hold, and what denormal numbers cost.

use super::protocol::{Refusal, RefusalKind};
use crate::peaks::eviction_bytes;

/// Bytes between two writes of [`Evictor::evict`]: no cache line is longer.
const LINE: usize = 64;

/// Memory that takes the place of everything else in the caches.
#[derive(Default)]
pub(super) struct Evictor {
    memory: Vec<u8>,
    round: u8,
}

impl Evictor {
    /// Overwrites [`eviction_bytes`], one store a cache line, so that nothing else is left in the caches. Not by a fill
    /// of the C library, which may go past the caches.
    pub(super) fn evict(&mut self) -> Result<(), Refusal> {
        if self.memory.is_empty() {
            let bytes = usize::try_from(eviction_bytes()).unwrap_or(usize::MAX);
            let no_room = |_| {
                let message = format!("there is no room for the {bytes} bytes that overwrite the caches");
                Refusal::new(RefusalKind::System, message)
            };
            self.memory.try_reserve_exact(bytes).map_err(no_room)?;
            self.memory.resize(bytes, 0);
        }
        self.round = self.round.wrapping_add(1);
        for line in self.memory.chunks_mut(LINE) {
            // SAFETY: `line` is a live slice of at least one byte, and chunks are never empty.
            unsafe { line.as_mut_ptr().write_volatile(self.round) };
        }
        Ok(())
    }
}

/// Bits of MXCSR by which denormal results become zero (flush to zero) and denormal operands count as zero (AMD64
/// Architecture Programmer's Manual, volume 1, 4.2.2).
#[cfg(target_arch = "x86_64")]
const FLUSH: u32 = 1 << 15 | 1 << 6;

/// Makes denormal numbers zero on this thread, and on those that it starts from now on.
#[cfg(target_arch = "x86_64")]
pub(super) fn flush_denormals() -> Result<(), Refusal> {
    let mut control = 0_u32;
    // SAFETY: both instructions move the register of this thread from and to `control`; the bits change what
    // arithmetic answers for denormal numbers, which is what is asked for, and nothing else.
    unsafe {
        core::arch::asm!("stmxcsr [{}]", in(reg) &mut control, options(nostack));
        control |= FLUSH;
        core::arch::asm!("ldmxcsr [{}]", in(reg) &control, options(nostack, readonly));
    }
    Ok(())
}

/// Makes denormal numbers zero on this thread, and on those that it starts from now on.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn flush_denormals() -> Result<(), Refusal> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "denormals are flushed on x86-64 only so far")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn every_line_of_the_memory_is_overwritten_each_time() {
        let mut evictor = Evictor { memory: vec![9; 3 * LINE + 1], round: 9 };
        assert!(evictor.evict().is_ok());
        assert_eq!([0, LINE, 2 * LINE, 3 * LINE].map(|at| evictor.memory[at]), [10; 4]);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn denormals_are_flushed_on_the_thread_that_asks_and_no_other() {
        let tiny = |value: f32| black_box(value) * black_box(0.5_f32);
        let flushed = std::thread::spawn(move || {
            assert!(flush_denormals().is_ok());
            tiny(f32::MIN_POSITIVE)
        });
        assert_eq!(flushed.join().unwrap(), 0.0);
        assert!(tiny(f32::MIN_POSITIVE) > 0.0);
    }
}

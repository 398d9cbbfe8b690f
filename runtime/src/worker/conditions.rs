//! Conditions of a run that a worker can change: what the caches hold, and what denormal numbers cost.

use super::protocol::{Refusal, RefusalKind};
use crate::peaks::eviction_bytes;

/// Bytes of a cache line: none is shorter on x86-64, and two writes to a longer one do no harm.
const LINE: usize = 64;

/// Memory that takes the place of everything else in the caches.
#[derive(Default)]
pub(super) struct Evictor {
    memory: Vec<u8>,
    round: u8,
}

impl Evictor {
    /// Leaves nothing of `tensors` in any cache, and overwrites [`eviction_bytes`] besides, one store a cache line, so that
    /// nothing else is left in the caches that this covers. Not by a fill of the C library, which may go past the caches.
    pub(super) fn evict<'t>(&mut self, tensors: impl Iterator<Item = &'t [u8]>) -> Result<(), Refusal> {
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
        tensors.for_each(flush);
        Ok(())
    }
}

/// Writes the lines of `tensor` back to memory and drops them from every cache: a last cache of hundreds of MiB, as cores
/// of today share, takes a tenth of a second to overwrite, and this a millisecond.
#[cfg(target_arch = "x86_64")]
fn flush(tensor: &[u8]) {
    use core::arch::x86_64::{_mm_clflush, _mm_mfence};
    // SAFETY: each address lies in a live slice, and flushing changes nothing that a program can see but its time.
    unsafe {
        tensor.iter().step_by(LINE).for_each(|byte| _mm_clflush(byte));
        tensor.last().into_iter().for_each(|byte| _mm_clflush(byte));
        _mm_mfence();
    }
}

/// [`eviction_bytes`] are enough for tensors as well.
#[cfg(not(target_arch = "x86_64"))]
fn flush(_tensor: &[u8]) {}

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
        assert!(evictor.evict([[1; 200].as_slice(), &[]].into_iter()).is_ok());
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

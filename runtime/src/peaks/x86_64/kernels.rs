//! The widest loops that this processor has.

use std::io;

use super::loops;

/// Which loops to run. Made by [`Kernels::detect`] only, so that every loop it names may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kernels(Width);

/// What stores that bypass the caches demand of their addresses at the greatest width.
const ALIGNMENT: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// AVX and FMA.
    Bits256,
    /// AVX-512F.
    Bits512,
}

impl Kernels {
    pub(super) fn detect() -> io::Result<Self> {
        let fma = is_x86_feature_detected!("avx") && is_x86_feature_detected!("fma");
        match (fma, is_x86_feature_detected!("avx512f")) {
            (true, true) => Ok(Self(Width::Bits512)),
            (true, false) => Ok(Self(Width::Bits256)),
            (false, _) => {
                let message = "peaks are measured with AVX and FMA, which this processor has not";
                Err(io::Error::new(io::ErrorKind::Unsupported, message))
            }
        }
    }

    pub(super) fn lanes_f32(self) -> u32 {
        match self.0 {
            Width::Bits256 => 8,
            Width::Bits512 => 16,
        }
    }

    pub(super) fn fma_f32_scalar(self, rounds: u64) {
        // SAFETY: `detect` found FMA.
        unsafe { loops::fma_f32_scalar(rounds) }
    }

    pub(super) fn fma_f64_scalar(self, rounds: u64) {
        // SAFETY: `detect` found FMA.
        unsafe { loops::fma_f64_scalar(rounds) }
    }

    pub(super) fn fma_f32(self, rounds: u64) {
        // SAFETY: `detect` found the features of this width.
        unsafe {
            match self.0 {
                Width::Bits256 => loops::fma_f32_256(rounds),
                Width::Bits512 => loops::fma_f32_512(rounds),
            }
        }
    }

    pub(super) fn fma_f64(self, rounds: u64) {
        // SAFETY: `detect` found the features of this width.
        unsafe {
            match self.0 {
                Width::Bits256 => loops::fma_f64_256(rounds),
                Width::Bits512 => loops::fma_f64_512(rounds),
            }
        }
    }

    pub(super) fn read(self, from: &[u8], sweeps: u64) {
        // SAFETY: `detect` found the features of this width.
        unsafe {
            match self.0 {
                Width::Bits256 => loops::read_256(from, sweeps),
                Width::Bits512 => loops::read_512(from, sweeps),
            }
        }
    }

    pub(super) fn copy(self, from: &[u8], to: &mut [u8], sweeps: u64) {
        // SAFETY: `detect` found the features of this width.
        unsafe {
            match self.0 {
                Width::Bits256 => loops::copy_256(from, to, sweeps),
                Width::Bits512 => loops::copy_512(from, to, sweeps),
            }
        }
    }

    /// Copies past the caches what fits after the first aligned byte of `to`.
    pub(super) fn bypassing_copy(self, from: &[u8], to: &mut [u8], sweeps: u64) {
        let (_, to) = to.split_at_mut(to.as_ptr().align_offset(ALIGNMENT).min(to.len()));
        // SAFETY: `detect` found the features of this width; `to` is aligned or empty.
        unsafe {
            match self.0 {
                Width::Bits256 => loops::bypass_256(from, to, sweeps),
                Width::Bits512 => loops::bypass_512(from, to, sweeps),
            }
        }
    }
}

//! The loops that peaks are measured with, in assembly, so that they are the same in every build.

use std::arch::asm;

/// Accumulators of an FMA loop: at least latency × issue width, which is 4 × 2 on today's cores.
pub(super) const ACCUMULATORS: u64 = 12;
/// Bytes that one round of [`read_512`], [`read_256`], [`copy_512`] or [`copy_256`] moves.
pub(super) const ROUND_BYTES: usize = 512;
/// Dependent additions in one round of [`additions`].
pub(super) const ADDITIONS: u64 = 16;

macro_rules! fma_loop {
    ($(#[$doc:meta])* $name:ident, $feature:literal, $fma:literal, $register:literal, $load:literal, $half:expr) => {
        $(#[$doc])*
        #[target_feature(enable = $feature)]
        pub(super) fn $name(rounds: u64) {
            let half = $half;
            // SAFETY: reads `half` only, and every register it changes is declared.
            unsafe {
                asm!(
                    concat!($load, " ", $register, "14, [{half}]"),
                    concat!($load, " ", $register, "15, [{half}]"),
                    "vxorps xmm0, xmm0, xmm0", "vxorps xmm1, xmm1, xmm1", "vxorps xmm2, xmm2, xmm2",
                    "vxorps xmm3, xmm3, xmm3", "vxorps xmm4, xmm4, xmm4", "vxorps xmm5, xmm5, xmm5",
                    "vxorps xmm6, xmm6, xmm6", "vxorps xmm7, xmm7, xmm7", "vxorps xmm8, xmm8, xmm8",
                    "vxorps xmm9, xmm9, xmm9", "vxorps xmm10, xmm10, xmm10", "vxorps xmm11, xmm11, xmm11",
                    "2:",
                    concat!($fma, " ", $register, "0, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "1, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "2, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "3, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "4, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "5, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "6, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "7, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "8, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "9, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "10, ", $register, "14, ", $register, "15"),
                    concat!($fma, " ", $register, "11, ", $register, "14, ", $register, "15"),
                    "dec {rounds}",
                    "jnz 2b",
                    "vzeroupper",
                    half = in(reg) &half,
                    rounds = inout(reg) rounds.max(1) => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                    out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nostack, readonly),
                );
            }
        }
    };
}

fma_loop!(
    /// [`ACCUMULATORS`] scalar f32 FMAs a round.
    fma_f32_scalar, "fma", "vfmadd231ss", "xmm", "vmovss", 0.5_f32);
fma_loop!(
    /// [`ACCUMULATORS`] scalar f64 FMAs a round.
    fma_f64_scalar, "fma", "vfmadd231sd", "xmm", "vmovsd", 0.5_f64);
fma_loop!(
    /// [`ACCUMULATORS`] FMAs of 8 f32 a round.
    fma_f32_256, "fma", "vfmadd231ps", "ymm", "vbroadcastss", 0.5_f32);
fma_loop!(
    /// [`ACCUMULATORS`] FMAs of 4 f64 a round.
    fma_f64_256, "fma", "vfmadd231pd", "ymm", "vbroadcastsd", 0.5_f64);
fma_loop!(
    /// [`ACCUMULATORS`] FMAs of 16 f32 a round.
    fma_f32_512, "avx512f", "vfmadd231ps", "zmm", "vbroadcastss", 0.5_f32);
fma_loop!(
    /// [`ACCUMULATORS`] FMAs of 8 f64 a round.
    fma_f64_512, "avx512f", "vfmadd231pd", "zmm", "vbroadcastsd", 0.5_f64);

macro_rules! move_loop {
    ($(#[$doc:meta])* $name:ident, $feature:literal, [$($step:literal),* $(,)?]) => {
        $(#[$doc])*
        #[target_feature(enable = $feature)]
        pub(super) fn $name(from: &[u8], to: &mut [u8], sweeps: u64) {
            let rounds = from.len().min(to.len()) / ROUND_BYTES;
            if rounds == 0 || sweeps == 0 {
                return;
            }
            // SAFETY: `rounds` whole rounds lie within both slices, which do not overlap.
            unsafe {
                asm!(
                    "3:",
                    "mov {from}, {from_start}",
                    "mov {to}, {to_start}",
                    "mov {left}, {rounds}",
                    "2:",
                    $($step,)*
                    "add {from}, 512",
                    "add {to}, 512",
                    "dec {left}",
                    "jnz 2b",
                    "dec {sweeps}",
                    "jnz 3b",
                    "vzeroupper",
                    from_start = in(reg) from.as_ptr(),
                    to_start = in(reg) to.as_mut_ptr(),
                    rounds = in(reg) rounds,
                    from = out(reg) _,
                    to = out(reg) _,
                    left = out(reg) _,
                    sweeps = inout(reg) sweeps => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                    out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nostack),
                );
            }
        }
    };
}

move_loop!(
    /// Copies whole rounds, again each sweep, with 64-byte loads and stores.
    copy_512, "avx512f", [
    "vmovups zmm0, [{from}]", "vmovups zmm1, [{from} + 64]",
    "vmovups zmm2, [{from} + 128]", "vmovups zmm3, [{from} + 192]",
    "vmovups zmm4, [{from} + 256]", "vmovups zmm5, [{from} + 320]",
    "vmovups zmm6, [{from} + 384]", "vmovups zmm7, [{from} + 448]",
    "vmovups [{to}], zmm0", "vmovups [{to} + 64], zmm1",
    "vmovups [{to} + 128], zmm2", "vmovups [{to} + 192], zmm3",
    "vmovups [{to} + 256], zmm4", "vmovups [{to} + 320], zmm5",
    "vmovups [{to} + 384], zmm6", "vmovups [{to} + 448], zmm7",
]);
move_loop!(
    /// Copies whole rounds, again each sweep, with 32-byte loads and stores.
    copy_256, "avx", [
    "vmovups ymm0, [{from}]", "vmovups ymm1, [{from} + 32]",
    "vmovups ymm2, [{from} + 64]", "vmovups ymm3, [{from} + 96]",
    "vmovups ymm4, [{from} + 128]", "vmovups ymm5, [{from} + 160]",
    "vmovups ymm6, [{from} + 192]", "vmovups ymm7, [{from} + 224]",
    "vmovups ymm8, [{from} + 256]", "vmovups ymm9, [{from} + 288]",
    "vmovups ymm10, [{from} + 320]", "vmovups ymm11, [{from} + 352]",
    "vmovups ymm12, [{from} + 384]", "vmovups ymm13, [{from} + 416]",
    "vmovups ymm14, [{from} + 448]", "vmovups ymm15, [{from} + 480]",
    "vmovups [{to}], ymm0", "vmovups [{to} + 32], ymm1",
    "vmovups [{to} + 64], ymm2", "vmovups [{to} + 96], ymm3",
    "vmovups [{to} + 128], ymm4", "vmovups [{to} + 160], ymm5",
    "vmovups [{to} + 192], ymm6", "vmovups [{to} + 224], ymm7",
    "vmovups [{to} + 256], ymm8", "vmovups [{to} + 288], ymm9",
    "vmovups [{to} + 320], ymm10", "vmovups [{to} + 352], ymm11",
    "vmovups [{to} + 384], ymm12", "vmovups [{to} + 416], ymm13",
    "vmovups [{to} + 448], ymm14", "vmovups [{to} + 480], ymm15",
]);

move_loop!(
    /// Copies whole rounds, again each sweep, with 64-byte loads and stores that bypass the caches. `to` begins at a
    /// multiple of 64 bytes.
    bypass_512, "avx512f", [
    "vmovups zmm0, [{from}]", "vmovups zmm1, [{from} + 64]",
    "vmovups zmm2, [{from} + 128]", "vmovups zmm3, [{from} + 192]",
    "vmovups zmm4, [{from} + 256]", "vmovups zmm5, [{from} + 320]",
    "vmovups zmm6, [{from} + 384]", "vmovups zmm7, [{from} + 448]",
    "vmovntps [{to}], zmm0", "vmovntps [{to} + 64], zmm1",
    "vmovntps [{to} + 128], zmm2", "vmovntps [{to} + 192], zmm3",
    "vmovntps [{to} + 256], zmm4", "vmovntps [{to} + 320], zmm5",
    "vmovntps [{to} + 384], zmm6", "vmovntps [{to} + 448], zmm7",
]);
move_loop!(
    /// Copies whole rounds, again each sweep, with 32-byte loads and stores that bypass the caches. `to` begins at a
    /// multiple of 32 bytes.
    bypass_256, "avx", [
    "vmovups ymm0, [{from}]", "vmovups ymm1, [{from} + 32]",
    "vmovups ymm2, [{from} + 64]", "vmovups ymm3, [{from} + 96]",
    "vmovups ymm4, [{from} + 128]", "vmovups ymm5, [{from} + 160]",
    "vmovups ymm6, [{from} + 192]", "vmovups ymm7, [{from} + 224]",
    "vmovups ymm8, [{from} + 256]", "vmovups ymm9, [{from} + 288]",
    "vmovups ymm10, [{from} + 320]", "vmovups ymm11, [{from} + 352]",
    "vmovups ymm12, [{from} + 384]", "vmovups ymm13, [{from} + 416]",
    "vmovups ymm14, [{from} + 448]", "vmovups ymm15, [{from} + 480]",
    "vmovntps [{to}], ymm0", "vmovntps [{to} + 32], ymm1",
    "vmovntps [{to} + 64], ymm2", "vmovntps [{to} + 96], ymm3",
    "vmovntps [{to} + 128], ymm4", "vmovntps [{to} + 160], ymm5",
    "vmovntps [{to} + 192], ymm6", "vmovntps [{to} + 224], ymm7",
    "vmovntps [{to} + 256], ymm8", "vmovntps [{to} + 288], ymm9",
    "vmovntps [{to} + 320], ymm10", "vmovntps [{to} + 352], ymm11",
    "vmovntps [{to} + 384], ymm12", "vmovntps [{to} + 416], ymm13",
    "vmovntps [{to} + 448], ymm14", "vmovntps [{to} + 480], ymm15",
]);

macro_rules! read_loop {
    ($(#[$doc:meta])* $name:ident, $feature:literal, [$($step:literal),* $(,)?]) => {
        $(#[$doc])*
        #[target_feature(enable = $feature)]
        pub(super) fn $name(from: &[u8], sweeps: u64) {
            let rounds = from.len() / ROUND_BYTES;
            if rounds == 0 || sweeps == 0 {
                return;
            }
            // SAFETY: `rounds` whole rounds lie within the slice.
            unsafe {
                asm!(
                    "3:",
                    "mov {from}, {from_start}",
                    "mov {left}, {rounds}",
                    "2:",
                    $($step,)*
                    "add {from}, 512",
                    "dec {left}",
                    "jnz 2b",
                    "dec {sweeps}",
                    "jnz 3b",
                    "vzeroupper",
                    from_start = in(reg) from.as_ptr(),
                    rounds = in(reg) rounds,
                    from = out(reg) _,
                    left = out(reg) _,
                    sweeps = inout(reg) sweeps => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    options(nostack, readonly),
                );
            }
        }
    };
}

read_loop!(
    /// Reads whole rounds, again each sweep, with 64-byte loads.
    read_512, "avx512f", [
    "vmovups zmm0, [{from}]", "vmovups zmm1, [{from} + 64]",
    "vmovups zmm2, [{from} + 128]", "vmovups zmm3, [{from} + 192]",
    "vmovups zmm4, [{from} + 256]", "vmovups zmm5, [{from} + 320]",
    "vmovups zmm6, [{from} + 384]", "vmovups zmm7, [{from} + 448]",
]);
read_loop!(
    /// Reads whole rounds, again each sweep, with 32-byte loads.
    read_256, "avx", [
    "vmovups ymm0, [{from}]", "vmovups ymm1, [{from} + 32]",
    "vmovups ymm2, [{from} + 64]", "vmovups ymm3, [{from} + 96]",
    "vmovups ymm4, [{from} + 128]", "vmovups ymm5, [{from} + 160]",
    "vmovups ymm6, [{from} + 192]", "vmovups ymm7, [{from} + 224]",
    "vmovups ymm0, [{from} + 256]", "vmovups ymm1, [{from} + 288]",
    "vmovups ymm2, [{from} + 320]", "vmovups ymm3, [{from} + 352]",
    "vmovups ymm4, [{from} + 384]", "vmovups ymm5, [{from} + 416]",
    "vmovups ymm6, [{from} + 448]", "vmovups ymm7, [{from} + 480]",
]);

/// [`ADDITIONS`] additions a round, each waiting for the one before it: one cycle each. Both operands
/// are registers, because newer cores do additions of constants for free.
pub(super) fn additions(rounds: u64) {
    // SAFETY: changes only the registers it declares.
    unsafe {
        asm!(
            "2:",
            "add {sum}, {one}", "add {sum}, {one}", "add {sum}, {one}", "add {sum}, {one}",
            "add {sum}, {one}", "add {sum}, {one}", "add {sum}, {one}", "add {sum}, {one}",
            "add {sum}, {one}", "add {sum}, {one}", "add {sum}, {one}", "add {sum}, {one}",
            "add {sum}, {one}", "add {sum}, {one}", "add {sum}, {one}", "add {sum}, {one}",
            "dec {rounds}",
            "jnz 2b",
            sum = inout(reg) 0_u64 => _,
            one = in(reg) 1_u64,
            rounds = inout(reg) rounds.max(1) => _,
            options(nomem, nostack),
        );
    }
}

/// One call a round, of a function that only returns.
pub(super) fn calls(rounds: u64) {
    // SAFETY: the function called is the `ret` below; the stack is balanced, and without `nostack` the
    // compiler keeps nothing below the stack pointer.
    unsafe {
        asm!(
            "jmp 3f",
            "2:",
            "ret",
            "3:",
            "call 2b",
            "dec {rounds}",
            "jnz 3b",
            rounds = inout(reg) rounds.max(1) => _,
        );
    }
}

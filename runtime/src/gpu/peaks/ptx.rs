//! The loops that peaks are measured with, as PTX.
//!
//! Operands are numbers with both signs and changing bits, because arithmetic on zeros takes less power and so runs at a
//! higher clock than any kernel would.

use std::fmt::Write;

/// Version and target: what `mma` on bf16 and tf32 needs.
const HEADER: &str = ".version 7.0\n.target sm_80\n.address_size 64\n";
/// The same for `wgmma`, which no later device has.
const HOPPER_HEADER: &str = ".version 8.0\n.target sm_90a\n.address_size 64\n";

/// Independent chains of a loop on registers: more than the latency of an operation over its rate.
const CHAINS: usize = 8;
/// Operations of a chain in one round.
const DEPTH: usize = 16;
/// Loads in one round of the loop on shared memory.
pub(super) const SHARED_LOADS: u64 = 16;
/// Vectors of 16 bytes that a thread has in flight in the loops on global memory.
pub(super) const VECTORS: u64 = 4;
/// Threads of a block of `kinstr_peak_shared`; each has 16 bytes.
pub(super) const SHARED_THREADS: u32 = 1024;

/// A loop of arithmetic: `(out, rounds)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loop {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Type, as reports call it.
    pub dtype: &'static str,
    /// Floating-point operations of one thread in one round.
    pub flops: f64,
    /// Threads of a block.
    pub threads: u32,
    /// Blocks for each SM.
    pub blocks_per_sm: u32,
}

const fn scalar(kernel: &'static str, dtype: &'static str, per_operation: f64) -> Loop {
    let flops = per_operation * (CHAINS * DEPTH) as f64;
    Loop { kernel, dtype, flops, threads: 256, blocks_per_sm: 8 }
}

const fn warp(kernel: &'static str, dtype: &'static str, per_operation: f64) -> Loop {
    let flops = per_operation * (CHAINS * DEPTH) as f64 / 32.0;
    Loop { kernel, dtype, flops, threads: 256, blocks_per_sm: 2 }
}

const fn warp_group(kernel: &'static str, dtype: &'static str, k: f64) -> Loop {
    let flops = 2.0 * 64.0 * 256.0 * k * WGMMAS as f64 / 128.0;
    Loop { kernel, dtype, flops, threads: 128, blocks_per_sm: 2 }
}

/// FMA loops.
pub(super) const FMA: [Loop; 3] = [
    scalar("kinstr_peak_f32", "f32", 2.0),
    scalar("kinstr_peak_f64", "f64", 2.0),
    scalar("kinstr_peak_f16x2", "f16x2", 4.0),
];
/// The loop of exponentials: units of their own compute them, and logarithms, reciprocals, roots and sines at the same rate.
pub(super) const SPECIAL: Loop = scalar("kinstr_peak_special", "special", 1.0);
/// Loops of `mma.sync`.
pub(super) const MMA: [Loop; 3] = [
    warp("kinstr_peak_mma_f16", "f16", 4096.0),
    warp("kinstr_peak_mma_bf16", "bf16", 4096.0),
    warp("kinstr_peak_mma_tf32", "tf32", 2048.0),
];
/// Loops of `wgmma`.
pub(super) const WGMMA: [Loop; 3] = [
    warp_group("kinstr_peak_wgmma_f16", "f16", 16.0),
    warp_group("kinstr_peak_wgmma_bf16", "bf16", 16.0),
    warp_group("kinstr_peak_wgmma_tf32", "tf32", 8.0),
];

/// `wgmma` operations in one round.
const WGMMAS: usize = 8;

/// All loops that any device since compute capability 8.0 takes; ends with a zero.
pub(super) fn module() -> String {
    let mut text = HEADER.to_owned();
    text.push_str(&arithmetic("kinstr_peak_f32", "f32", "fma.rn.f32", "f"));
    text.push_str(&arithmetic("kinstr_peak_f64", "f64", "fma.rn.f64", "d"));
    text.push_str(&arithmetic("kinstr_peak_f16x2", "b32", "fma.rn.f16x2", "h"));
    text.push_str(&special("kinstr_peak_special", "ex2.approx.ftz.f32"));
    text.push_str(&mma("kinstr_peak_mma_f16", "m16n8k16.row.col.f32.f16.f16.f32"));
    text.push_str(&mma("kinstr_peak_mma_bf16", "m16n8k16.row.col.f32.bf16.bf16.f32"));
    text.push_str(&mma("kinstr_peak_mma_tf32", "m16n8k8.row.col.f32.tf32.tf32.f32"));
    text.push_str(&shared());
    text.push_str(include_str!("memory.ptx"));
    text.push('\0');
    text
}

/// The loops of `wgmma`; ends with a zero.
pub(super) fn hopper_module() -> String {
    let mut text = HOPPER_HEADER.to_owned();
    text.push_str(&wgmma("kinstr_peak_wgmma_f16", "m64n256k16.f32.f16.f16", ", 0, 0"));
    text.push_str(&wgmma("kinstr_peak_wgmma_bf16", "m64n256k16.f32.bf16.bf16", ", 0, 0"));
    text.push_str(&wgmma("kinstr_peak_wgmma_tf32", "m64n256k8.f32.tf32.tf32", ""));
    text.push('\0');
    text
}

/// A kernel that runs `body` for as many rounds as it is told, and leaves clock and timer from before and after at `out`.
/// `fold` makes a number of what was computed, `%x`, so that it is needed.
fn kernel(name: &str, declare: &str, prepare: &str, body: &str, fold: &str) -> String {
    format!(
        ".visible .entry {name}(.param .u64 out, .param .u32 rounds)
{{
    .reg .pred %more, %never, %first;
    .reg .b32 %thread, %block, %rounds, %x, %hash;
    .reg .b64 %out, %c0, %t0, %c1, %t1;
{declare}
    ld.param.u64 %out, [out];
    ld.param.u32 %rounds, [rounds];
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    mad.lo.u32 %hash, %block, 1024, %thread;
    mad.lo.u32 %hash, %hash, 0x9E3779B1, 0x85EBCA77;
{prepare}
    mov.u64 %c0, %clock64;
    mov.u64 %t0, %globaltimer;
LOOP:
{body}
    sub.u32 %rounds, %rounds, 1;
    setp.ne.u32 %more, %rounds, 0;
    @%more bra LOOP;
    mov.u64 %c1, %clock64;
    mov.u64 %t1, %globaltimer;
{fold}
    setp.eq.u32 %never, %x, 0x7FEDCBA9;
    @%never st.global.u32 [%out+32], %x;
    or.b32 %x, %thread, %block;
    setp.eq.u32 %first, %x, 0;
    @%first st.global.u64 [%out], %c0;
    @%first st.global.u64 [%out+8], %t0;
    @%first st.global.u64 [%out+16], %c1;
    @%first st.global.u64 [%out+24], %t1;
    ret;
}}
"
    )
}

/// Chains of one three-operand operation: `x = x * 0.999 + ±something`, which stays bounded.
fn arithmetic(name: &str, register: &str, operation: &str, kind: &str) -> String {
    let declare = format!("    .reg .{register} %v<{CHAINS}>, %a, %b;\n    .reg .b32 %half;");
    let (mut prepare, mut fold) = (String::new(), "    mov.u32 %x, 0;\n".to_owned());
    match kind {
        "f" => prepare.push_str("    mov.f32 %a, 0fBF7FBE77;\n    cvt.rn.f32.s32 %b, %hash;\n"),
        "d" => prepare.push_str("    mov.f64 %a, 0dBFEFF7CED916872B;\n    cvt.rn.f64.s32 %b, %hash;\n"),
        _ => prepare.push_str("    mov.b32 %a, 0xBBFEBBFD;\n    and.b32 %b, %hash, 0x83FF83FF;\n    or.b32 %b, %b, 0x3C003C00;\n"),
    }
    for chain in 0..CHAINS {
        let _ = writeln!(prepare, "    mov.{register} %v{chain}, %b;");
        let _ = match kind {
            "f" => writeln!(fold, "    mov.b32 %half, %v{chain};\n    xor.b32 %x, %x, %half;"),
            "d" => writeln!(
                fold,
                "    cvt.rn.f32.f64 %f, %v{chain};\n    mov.b32 %half, %f;\n    xor.b32 %x, %x, %half;"
            ),
            _ => writeln!(fold, "    xor.b32 %x, %x, %v{chain};"),
        };
    }
    let mut body = String::new();
    for _ in 0..DEPTH {
        for chain in 0..CHAINS {
            let _ = writeln!(body, "    {operation} %v{chain}, %v{chain}, %a, %b;");
        }
    }
    let declare = if kind == "d" { format!("{declare}\n    .reg .f32 %f;") } else { declare };
    kernel(name, &declare, &prepare, &body, &fold)
}

/// Chains of `x = f(-x)`, whose sign is part of the operation. For the exponential that stays bounded, and nothing undoes it: of reciprocals
/// `ptxas` leaves every second one out, and so all of them.
fn special(name: &str, operation: &str) -> String {
    let declare = format!("    .reg .f32 %v<{CHAINS}>;\n    .reg .b32 %half;");
    let (mut prepare, mut fold) = (String::new(), "    mov.u32 %x, 0;\n".to_owned());
    for chain in 0..CHAINS {
        let _ = writeln!(prepare, "    cvt.rn.f32.s32 %v{chain}, %thread;");
        let _ = writeln!(fold, "    mov.b32 %half, %v{chain};\n    xor.b32 %x, %x, %half;");
    }
    let step = |chain| format!("    neg.f32 %v{chain}, %v{chain};\n    {operation} %v{chain}, %v{chain};\n");
    let round = (0..CHAINS).map(step).collect::<String>();
    kernel(name, &declare, &prepare, round.repeat(DEPTH).trim_end(), &fold)
}

/// Registers of numbers around ±1 in pairs of 16 bits; as 32 bits they are numbers too.
fn operands(names: &[&str]) -> String {
    let mut text = String::new();
    for name in names {
        let _ = writeln!(text, "    mad.lo.u32 %hash, %hash, 0x9E3779B1, 0x85EBCA77;");
        let _ = writeln!(
            text,
            "    and.b32 %{name}, %hash, 0x83FF83FF;\n    or.b32 %{name}, %{name}, 0x3C003C00;"
        );
    }
    text
}

/// Chains of `mma.sync`, which tf32 takes as many registers for as the others do.
fn mma(name: &str, shape: &str) -> String {
    let declare =
        format!("    .reg .f32 %d<{}>;\n    .reg .b32 %a0, %a1, %a2, %a3, %b0, %b1, %half;", 4 * CHAINS);
    let mut prepare = operands(&["a0", "a1", "a2", "a3", "b0", "b1"]);
    let (mut body, mut fold) = (String::new(), "    mov.u32 %x, 0;\n".to_owned());
    for register in 0..4 * CHAINS {
        let _ = writeln!(prepare, "    mov.f32 %d{register}, 0f00000000;");
        let _ = writeln!(fold, "    mov.b32 %half, %d{register};\n    xor.b32 %x, %x, %half;");
    }
    for _ in 0..DEPTH {
        for chain in 0..CHAINS {
            let d: Vec<String> = (4 * chain..4 * chain + 4).map(|register| format!("%d{register}")).collect();
            let d = d.join(", ");
            let _ = writeln!(
                body,
                "    mma.sync.aligned.{shape} {{{d}}}, {{%a0, %a1, %a2, %a3}}, {{%b0, %b1}}, {{{d}}};"
            );
        }
    }
    kernel(name, &declare, &prepare, &body, &fold)
}

/// A warp group's products of tiles in shared memory, without swizzling: 8 rows of 16 bytes lie together, 128 bytes apart
/// along K and 256 along the rows.
fn wgmma(name: &str, shape: &str, transposed: &str) -> String {
    let mut declare =
        "    .reg .f32 %d<128>;\n    .reg .b32 %at, %word, %half;\n    .reg .b64 %a, %b, %base;\n".to_owned();
    declare.push_str("    .shared .align 128 .b8 tiles[16384];\n    .reg .pred %fill;");
    let mut prepare = "    shl.b32 %at, %thread, 2;
    mov.u32 %word, tiles;
    add.u32 %at, %at, %word;
    mov.u32 %word, 0;
FILL:
"
    .to_owned();
    prepare.push_str(&operands(&["half"]));
    prepare.push_str(
        "    st.shared.b32 [%at], %half;
    add.u32 %at, %at, 512;
    add.u32 %word, %word, 1;
    setp.lt.u32 %fill, %word, 32;
    @%fill bra FILL;
    fence.proxy.async;
    bar.sync 0;
    mov.u32 %word, tiles;
    and.b32 %word, %word, 0x3FFFF;
    shr.b32 %word, %word, 4;
    cvt.u64.u32 %base, %word;
    or.b64 %a, %base, 0x0000001000080000;
    add.u64 %b, %a, 256;
",
    );
    let all: Vec<String> = (0..128).map(|register| format!("%d{register}")).collect();
    let all = all.join(", ");
    for register in 0..128 {
        let _ = writeln!(prepare, "    mov.f32 %d{register}, 0f00000000;");
    }
    let mut body = "    wgmma.fence.sync.aligned;\n".to_owned();
    for _ in 0..WGMMAS {
        let _ = writeln!(
            body,
            "    wgmma.mma_async.sync.aligned.{shape} {{{all}}}, %a, %b, 1, 1, 1{transposed};"
        );
    }
    body.push_str("    wgmma.commit_group.sync.aligned;\n    wgmma.wait_group.sync.aligned 0;\n");
    let mut fold = "    mov.u32 %x, 0;\n".to_owned();
    for register in 0..128 {
        let _ = writeln!(fold, "    mov.b32 %half, %d{register};\n    xor.b32 %x, %x, %half;");
    }
    kernel(name, &declare, &prepare, &body, &fold)
}

/// Every thread reads 16 bytes at a time from all over shared memory, without conflicts; every other round it takes its
/// neighbour's, so that no load can be left out.
fn shared() -> String {
    let declare = format!(
        "    .reg .b32 %v<4>, %at, %base;\n    .shared .align 32 .b8 words[{}];",
        32 * SHARED_THREADS
    );
    let prepare = "    shl.b32 %at, %thread, 4;
    mov.u32 %base, words;
    add.u32 %at, %at, %base;
    st.shared.v4.b32 [%at], {%hash, %hash, %hash, %hash};
    st.shared.v4.b32 [%at+16384], {%hash, %hash, %hash, %hash};
    bar.sync 0;
    mov.u32 %x, 0;
";
    let mut body = String::new();
    for load in 0..SHARED_LOADS {
        let _ = writeln!(body, "    ld.shared.v4.b32 {{%v0, %v1, %v2, %v3}}, [%at+{}];", 1024 * load);
        for word in 0..4 {
            let _ = writeln!(body, "    xor.b32 %x, %x, %v{word};");
        }
    }
    body.push_str("    xor.b32 %at, %at, 16;\n");
    kernel("kinstr_peak_shared", &declare, prepare, &body, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Assembles with `ptxas`, where `KINSTR_PTXAS` names one.
    fn assembles(text: &str, chip: &str) {
        let Some(ptxas) = std::env::var_os("KINSTR_PTXAS") else { return };
        let path = std::env::temp_dir().join(format!("kinstr-peaks-{chip}-{}.ptx", std::process::id()));
        std::fs::write(&path, text.trim_end_matches('\0')).unwrap();
        let output =
            Command::new(ptxas).args(["-arch", chip, "-o", "/dev/null"]).arg(&path).output().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn every_loop_is_a_kernel_of_its_module() {
        let (plain, hopper) = (module(), hopper_module());
        let has = |text: &str, entry: &Loop| text.contains(&format!(".entry {}(", entry.kernel));
        assert!(FMA.iter().chain(&MMA).all(|entry| has(&plain, entry)));
        assert!(WGMMA.iter().all(|entry| has(&hopper, entry)));
        assembles(&plain, "sm_80");
        assembles(&hopper, "sm_90a");
        assembles(include_str!("../kernels.ptx"), "sm_90");
    }
}

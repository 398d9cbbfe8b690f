//! How long kinstr's own passes take, by module size: insertion, lowering and conversion of probes, without MLIR's
//! lowering in between and without code generation. Run by `scripts/bench`; asserts nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may panic")]
#![allow(missing_docs, reason = "a bench has no users")]

use kinstr::lower::{self, Mlir};
use kinstr_passes::{
    conversion::x86_64, ffi::parse_module, ir::nested, probe, transforms::lower_intent::lower_intent,
};
use kinstr_trace::layout::Mode;
use melior::ir::Module;
use std::time::{Duration, Instant};

const REPEATS: usize = 5;

fn main() {
    for ops in [2_000, 100_000] {
        let (time, ops) = structured(ops);
        report("region-time", ops, time);
        let (time, ops) = optimized(ops);
        report("block-count", ops, time);
    }
}

fn report(probe: &str, ops: usize, time: Duration) {
    let milliseconds = time.as_secs_f64() * 1e3;
    println!("{probe} {ops} ops {milliseconds:.2} ms {:.3} us/op", milliseconds * 1e3 / ops as f64);
}

/// `ops / 5` loops of one load, one product, one store and a yield.
fn structured(ops: usize) -> (Duration, usize) {
    let nest = "scf.for %i = %a to %n step %s { %x = memref.load %m[%i] : memref<?xf32> \
                %y = arith.mulf %x, %x : f32 memref.store %y, %m[%i] : memref<?xf32> }\n";
    let text = format!(
        "func.func @f(%m: memref<?xf32>, %a: index, %n: index, %s: index) {{ {} return }}",
        nest.repeat(ops / 5)
    );
    least(&text, |mlir, module| {
        let probe = probe::find("region-time").unwrap();
        let sites = probe::insert(&mlir.context, &module, &[probe], Some("f"), Mode::Aggregate).unwrap();
        let inserted = Instant::now();
        // MLIR's own lowering lies between and is not counted.
        let signature = lower::written_signature(&module, &Default::default()).unwrap();
        let mut structured = lower::Structured { module, signature };
        kinstr_passes::pipeline::run(
            &mlir.context,
            &mlir.messages,
            &mut structured.module,
            lower::pipelines::CPU_LOWERING,
        )
        .unwrap();
        let lowered = Instant::now();
        lower_intent(&mlir.context, &structured.module, Mode::Aggregate).unwrap();
        x86_64::convert(&mlir.context, &structured.module, &sites).unwrap();
        (structured.module, lowered - inserted)
    })
}

/// Blocks of five LLVM-dialect ops.
fn optimized(ops: usize) -> (Duration, usize) {
    let blocks: String = (0..ops / 5)
        .map(|i| {
            let next = i + 1;
            format!(
                "^b{i}:\n %x{i} = llvm.load %p : !llvm.ptr -> f32\n %y{i} = llvm.fmul %x{i}, %x{i} : f32\n \
                 %q{i} = llvm.getelementptr %p[1] : (!llvm.ptr) -> !llvm.ptr, f32\n \
                 llvm.store %y{i}, %q{i} : f32, !llvm.ptr\n llvm.br ^b{next}\n"
            )
        })
        .collect();
    let text = format!("llvm.func @f(%p: !llvm.ptr) {{ llvm.br ^b0\n {blocks} ^b{}: llvm.return }}", ops / 5);
    least(&text, |mlir, module| {
        let probe = probe::find("block-count").unwrap();
        let sites = probe::insert(&mlir.context, &module, &[probe], None, Mode::Aggregate).unwrap();
        lower_intent(&mlir.context, &module, Mode::Aggregate).unwrap();
        x86_64::convert(&mlir.context, &module, &sites).unwrap();
        (module, Duration::ZERO)
    })
}

/// Least time over the repeats, and the module's size in ops before insertion.
fn least(
    text: &str,
    work: impl for<'c> Fn(&'c Mlir, Module<'c>) -> (Module<'c>, Duration),
) -> (Duration, usize) {
    use melior::ir::operation::OperationLike as _;
    let mut best = Duration::MAX;
    let mut ops = 0;
    for _ in 0..REPEATS {
        let mlir = Mlir::new().unwrap();
        let module = parse_module(&mlir.context, text, "bench.mlir").unwrap();
        ops = nested(module.as_operation()).len();
        let begin = Instant::now();
        let (module, not_ours) = work(&mlir, module);
        best = best.min(begin.elapsed() - not_ours);
        assert!(module.as_operation().verify());
    }
    (best, ops)
}

//! How long kinstr's own passes take, by module size: insertion, lowering and conversion of probes, without MLIR's
//! lowering in between and without code generation. Run by `scripts/bench`; asserts nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may panic")]
#![allow(missing_docs, reason = "a bench has no users")]

use kinstr::lower::Mlir;
use kinstr_passes::{
    conversion::x86_64,
    ffi::parse_module,
    ir::nested,
    probe,
    transforms::lower_intent::{Keep, lower_intent},
};
use kinstr_trace::{
    layout::Mode,
    sites::{ProbeSite, SiteKind, SiteTable},
};
use melior::ir::{Module, operation::OperationLike as _};
use std::time::{Duration, Instant};

const REPEATS: usize = 5;

fn main() {
    for ops in [2_000, 100_000] {
        let (time, ops) = structured(ops);
        report("region-time", ops, time);
        let (time, ops) = optimized(ops);
        report("block-count", ops, time);
        let (time, ops) = straight(ops);
        report("block-count/one-block", ops, time);
        let (time, ops) = called(ops);
        report("block-count/functions", ops, time);
    }
}

fn report(probe: &str, ops: usize, time: Duration) {
    let milliseconds = time.as_secs_f64() * 1e3;
    println!("{probe} {ops} ops {milliseconds:.2} ms {:.3} us/op", milliseconds * 1e3 / ops as f64);
}

/// Insertion into `ops / 5` loops of one load, one product, one store and a yield; then conversion of as many
/// regions in the LLVM dialect. MLIR's own lowering from the one to the other is not kinstr's and is left out.
fn structured(ops: usize) -> (Duration, usize) {
    let nest = "scf.for %i = %a to %n step %s { %x = memref.load %m[%i] : memref<?xf32> \
                %y = arith.mulf %x, %x : f32 memref.store %y, %m[%i] : memref<?xf32> }\n";
    let text = format!(
        "func.func @f(%m: memref<?xf32>, %a: index, %n: index, %s: index) {{ {} return }}",
        nest.repeat(ops / 5)
    );
    let region = probe::find("region-time").unwrap();
    let (insertion, size) = least(&text, |mlir, module| {
        probe::insert(&mlir.context, module, &[region], Some("f"), Mode::Aggregate).unwrap();
    });
    let regions: String = (0..ops / 5)
        .map(|site| {
            format!(
                "\"kprobe.region_begin\"() {{site = {site} : i32}} : () -> ()\n {} \
                 \"kprobe.region_end\"() {{site = {site} : i32}} : () -> ()\n",
                WORK.replace('#', &site.to_string())
            )
        })
        .collect();
    let text = format!("llvm.func @f(%p: !llvm.ptr) {{ {regions} llvm.return }}");
    let sites = sites(ops / 5);
    let (conversion, _) = least(&text, |mlir, module| convert(mlir, module, &sites));
    (insertion + conversion, size)
}

/// Four LLVM-dialect ops; `#` tells copies apart.
const WORK: &str = "%x# = llvm.load %p : !llvm.ptr -> f32\n %y# = llvm.fmul %x#, %x# : f32\n \
                    %q# = llvm.getelementptr %p[1] : (!llvm.ptr) -> !llvm.ptr, f32\n \
                    llvm.store %y#, %q# : f32, !llvm.ptr\n";

fn convert<'c>(mlir: &'c Mlir, module: &Module<'c>, sites: &SiteTable) {
    lower_intent(&mlir.context, module, Mode::Aggregate, Keep::Memory).unwrap();
    x86_64::convert(&mlir.context, module, sites).unwrap();
}

/// A table of `count` sites that say nothing: conversion looks at their number alone.
fn sites(count: usize) -> SiteTable {
    let site = |id| ProbeSite {
        id,
        probe: "region-time".into(),
        kind: SiteKind::Region,
        name: String::new(),
        function: "f".into(),
        place: None,
        loop_depth: 0,
        parent: None,
        counts_trips: false,
        words: 0,
        lines: vec![],
    };
    SiteTable { sites: (0..count as u32).map(site).collect(), ..SiteTable::default() }
}

/// Blocks of five LLVM-dialect ops.
fn optimized(ops: usize) -> (Duration, usize) {
    let blocks: String = (0..ops / 5)
        .map(|i| format!("^b{i}:\n {} llvm.br ^b{}\n", WORK.replace('#', &i.to_string()), i + 1))
        .collect();
    let text = format!("llvm.func @f(%p: !llvm.ptr) {{ llvm.br ^b0\n {blocks} ^b{}: llvm.return }}", ops / 5);
    counted(&text)
}

/// One block of as many ops, each on a line of its own.
fn straight(ops: usize) -> (Duration, usize) {
    let adds: String = (0..ops)
        .map(|i| format!("%x{} = llvm.add %x{i}, %x{i} : i64 loc(\"k.c\":{}:1)\n", i + 1, i + 1))
        .collect();
    counted(&format!("llvm.func @f(%x0: i64) {{\n {adds} llvm.return }}"))
}

/// Functions that are each called once, with the pointer that all their accesses are of.
fn called(ops: usize) -> (Duration, usize) {
    let functions: String = (0..ops / 7)
        .map(|i| {
            format!(
                "llvm.func internal @f{i}(%p: !llvm.ptr) {{ {} llvm.call @f{}(%p) : (!llvm.ptr) -> ()\n llvm.return }}\n",
                WORK.replace('#', ""),
                i + 1
            )
        })
        .collect();
    counted(&format!("{functions} llvm.func internal @f{}(%p: !llvm.ptr) {{ llvm.return }}", ops / 7))
}

fn counted(text: &str) -> (Duration, usize) {
    let count = probe::find("block-count").unwrap();
    least(text, |mlir, module| {
        let sites = probe::insert(&mlir.context, module, &[count], None, Mode::Aggregate).unwrap();
        convert(mlir, module, &sites);
    })
}

/// Least time of `work` over the repeats, and the module's size in ops before it.
fn least(text: &str, work: impl for<'c> Fn(&'c Mlir, &Module<'c>)) -> (Duration, usize) {
    let mut best = Duration::MAX;
    let mut ops = 0;
    for _ in 0..REPEATS {
        let mlir = Mlir::new().unwrap();
        let module = parse_module(&mlir.context, text, "bench.mlir").unwrap();
        ops = nested(module.as_operation()).len();
        let begin = Instant::now();
        work(&mlir, &module);
        best = best.min(begin.elapsed());
        assert!(module.as_operation().verify());
    }
    (best, ops)
}

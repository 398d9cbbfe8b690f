//! Ops that do more than one thing at once: atomic updates, and intrinsics of the target by their names.

use super::{
    access::Moved,
    nvidia::{assembly_work, nvidia_work},
    tensor::tensor_product,
    types::Shape,
};
use crate::ir::{device_name, name, string_attribute};
use kinstr_trace::sites::{AccessKind, FlopFact};
use melior::ir::{OperationRef, Value, ValueLike, attribute::IntegerAttribute, operation::OperationLike};

/// What such an op does.
#[derive(Default)]
pub(super) struct OtherWork<'c, 'a> {
    pub(super) flops: Option<FlopFact>,
    pub(super) moves: Vec<Moved<'c, 'a>>,
}

/// True for what reads or writes memory and is no plain load or store: block copies, atomic updates, and intrinsics or
/// assembly that may.
pub fn moves_memory(operation: OperationRef<'_, '_>) -> bool {
    match name(operation).as_str() {
        "llvm.atomicrmw" | "llvm.cmpxchg" => true,
        "llvm.inline_asm" if works_on_registers(operation) => false,
        "llvm.inline_asm" => other_work(operation, "inline_asm").is_none_or(|work| !work.moves.is_empty()),
        "llvm.call_intrinsic" if works_on_registers(operation) => false,
        "llvm.call_intrinsic" => {
            other_work(operation, "call_intrinsic").is_none_or(|work| !work.moves.is_empty())
        }
        _ => super::copy_of(operation).is_some(),
    }
}

/// What `operation` does, if it is known.
pub(super) fn other_work<'c, 'a>(operation: OperationRef<'c, 'a>, short: &str) -> Option<OtherWork<'c, 'a>> {
    match short {
        "atomicrmw" => Some(OtherWork { flops: atomic_flop(operation), moves: update(operation)? }),
        "cmpxchg" => Some(OtherWork { flops: None, moves: update(operation)? }),
        "inline_asm" => assembly_work(operation),
        "call_intrinsic" => {
            let intrinsic = intrinsic_of(operation)?;
            nvidia_work(operation, &intrinsic).or_else(|| intrinsic_work(operation, &intrinsic))
        }
        _ => None,
    }
}

/// Name of the target's intrinsic that `operation` calls.
pub(super) fn intrinsic_of(operation: OperationRef<'_, '_>) -> Option<String> {
    string_attribute(operation, "intrin")
}

/// An atomic update reads and writes what is behind its first operand, as much as the second one holds.
fn update<'c, 'a>(operation: OperationRef<'c, 'a>) -> Option<Vec<Moved<'c, 'a>>> {
    let (pointer, value) = (operation.operand(0).ok()?, operation.operand(1).ok()?);
    Some([AccessKind::Load, AccessKind::Store].map(|kind| moved(kind, pointer, value, false)).into())
}

/// One operation for an update of a floating-point number that is no exchange, the first of LLVM's kinds.
fn atomic_flop(operation: OperationRef<'_, '_>) -> Option<FlopFact> {
    let kind = IntegerAttribute::try_from(operation.attribute("bin_op").ok()?).ok()?.value();
    let shape = Shape::of_value(operation.operand(1).ok());
    (kind != 0 && shape.is_float()).then(|| flops(shape, 1, false, false))
}

fn moved<'c, 'a>(
    kind: AccessKind,
    pointer: Value<'c, 'a>,
    value: Value<'c, 'a>,
    indexed: bool,
) -> Moved<'c, 'a> {
    let shape = Shape::of_type(value.r#type());
    Moved { kind, pointer, bytes: shape.bytes(), lanes: shape.lanes, indexed }
}

pub(super) fn flops(shape: Shape, per_lane: u32, slow: bool, fused: bool) -> FlopFact {
    let (lanes, dtype) = (shape.lanes, shape.element);
    FlopFact { dtype, lanes, flops: lanes * per_lane, slow, fused, tensor: false }
}

/// A product on tensor cores whose operands are registers. That of a warp group reads shared memory.
fn works_on_registers(operation: OperationRef<'_, '_>) -> bool {
    tensor_product(operation).is_some() && !device_name(operation).contains("wgmma")
}

/// An intrinsic of x86, by the part of its name that says what it does: `llvm.x86.avx.hadd.ps.256`.
fn intrinsic_work<'c, 'a>(operation: OperationRef<'c, 'a>, intrinsic: &str) -> Option<OtherWork<'c, 'a>> {
    let parts: Vec<&str> = intrinsic.strip_prefix("llvm.x86.")?.split('.').collect();
    let operand = |index| operation.operand(index).ok();
    let result = || operation.result(0).ok().map(Value::from);
    let one = |kind, pointer: Value<'c, 'a>, value: Value<'c, 'a>, indexed| OtherWork {
        flops: None,
        moves: vec![moved(kind, pointer, value, indexed)],
    };
    let has = |part: &str| parts.contains(&part);
    if has("gather") {
        return Some(one(AccessKind::Load, operand(1)?, result()?, true));
    }
    if has("scatter") {
        return Some(one(AccessKind::Store, operand(0)?, operand(3)?, true));
    }
    if has("maskload") {
        return Some(one(AccessKind::Load, operand(0)?, result()?, false));
    }
    if has("maskstore") {
        return Some(one(AccessKind::Store, operand(0)?, operand(2)?, false));
    }
    let (per_lane, slow, fused) = parts.iter().find_map(|part| float_intrinsic(part))?;
    let scalar = has("ss") || has("sd");
    let shape = Shape::of_value(operand(0));
    let shape = if scalar { Shape { lanes: 1, ..shape } } else { shape };
    let flops = shape.is_float().then(|| flops(shape, per_lane, slow, fused))?;
    Some(OtherWork { flops: Some(flops), moves: Vec::new() })
}

/// Operations a lane, whether they are slow, and whether they are fused.
fn float_intrinsic(part: &str) -> Option<(u32, bool, bool)> {
    Some(match part {
        "add" | "sub" | "mul" | "hadd" | "hsub" | "addsub" | "min" | "max" | "cmp" => (1, false, false),
        "div" | "sqrt" | "rsqrt" | "rsqrt14" | "rcp" | "rcp14" => (1, true, false),
        "vfmadd" | "vfmaddsub" => (2, false, true),
        _ => return None,
    })
}

/// Ops that are instructions and neither move memory nor compute with numbers that count: conversions, moves between
/// registers, rounding, bit fiddling, hints.
pub(super) fn does_nothing(short: &str) -> bool {
    const OPS: [&str; 26] = [
        "select",
        "bitcast",
        "addrspacecast",
        "ptrtoint",
        "inttoptr",
        "fneg",
        "sitofp",
        "uitofp",
        "fptosi",
        "fptoui",
        "fptrunc",
        "fpext",
        "insertelement",
        "extractelement",
        "shufflevector",
        "insertvalue",
        "extractvalue",
        "alloca",
        "landingpad",
        "resume",
        "fence",
        "fcmp",
        "va_arg",
        "mlir.none",
        "intr.ptrmask",
        "intr.threadlocal.address",
    ];
    const INTRINSICS: [&str; 32] = [
        "fabs",
        "copysign",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "nearbyint",
        "round",
        "roundeven",
        "lrint",
        "llrint",
        "lround",
        "llround",
        "canonicalize",
        "ctlz",
        "cttz",
        "bswap",
        "bitreverse",
        "fshl",
        "fshr",
        "expect",
        "prefetch",
        "trap",
        "debugtrap",
        "stacksave",
        "stackrestore",
        "stepvector",
        "vscale",
        "is.constant",
        "is.fpclass",
        "get.active.lane.mask",
        "ssa.copy",
    ];
    // Sums with overflow or saturation, whole vectors of integers, conversions that saturate, exceptions.
    const FAMILIES: [&str; 14] = [
        "sadd.",
        "ssub.",
        "smul.",
        "uadd.",
        "usub.",
        "umul.",
        "sshl.",
        "ushl.",
        "vector.",
        "experimental.vector.",
        "fptosi.",
        "fptoui.",
        "eh.",
        "expect.",
    ];
    OPS.contains(&short)
        || short.starts_with("nvvm.read.")
        || short.strip_prefix("intr.").is_some_and(|intrinsic| {
            INTRINSICS.contains(&intrinsic) || FAMILIES.iter().any(|family| intrinsic.starts_with(family))
        })
}

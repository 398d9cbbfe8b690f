//! What NVIDIA's device code does by intrinsics of its own, and by inline PTX.

use super::{
    access::Moved,
    assembly::Assembly,
    other::{OtherWork, flops},
    types::Shape,
};
use kinstr_trace::sites::AccessKind;
use melior::ir::{OperationRef, Value, operation::OperationLike};

/// Intrinsics that neither move memory nor compute with numbers that count, by the beginnings of their names: warps wait for
/// each other or for their copies, exchange registers, or convert. What an asynchronous copy moves does it when it is begun.
const NOTHING: [&str; 16] = [
    "barrier",
    "bar.warp.sync",
    "cp.async.commit.group",
    "cp.async.wait.group",
    "cp.async.wait.all",
    "wgmma.fence",
    "wgmma.commit_group",
    "wgmma.wait_group",
    "mbarrier",
    "fence",
    "membar",
    "shfl",
    "vote",
    "elect",
    "prmt",
    "fabs",
];

/// Arithmetic of floating-point numbers, by the beginnings of the intrinsics' names: operations a lane, and whether they
/// issue at a fraction of the FMA rate.
const ARITHMETIC: [(&str, u32, bool); 17] = [
    ("ex2.approx", 1, true),
    ("lg2.approx", 1, true),
    ("sin.approx", 1, true),
    ("cos.approx", 1, true),
    ("tanh.approx", 1, true),
    ("rcp.", 1, true),
    ("rsqrt.", 1, true),
    ("sqrt.", 1, true),
    // Of a divisor that many share one reciprocal is computed.
    ("div.", 1, false),
    ("fma.", 2, false),
    ("add.", 1, false),
    ("sub.", 1, false),
    ("mul.r", 1, false),
    ("fmin.", 1, false),
    ("fmax.", 1, false),
    ("ceil.", 0, false),
    ("floor.", 0, false),
];

/// What the intrinsic `intrinsic` does, which `operation` calls.
pub(super) fn nvidia_work<'c, 'a>(
    operation: OperationRef<'c, 'a>,
    intrinsic: &str,
) -> Option<OtherWork<'c, 'a>> {
    let own = intrinsic.strip_prefix("llvm.nvvm.")?;
    if NOTHING.iter().any(|known| own.starts_with(known)) {
        return Some(OtherWork::default());
    }
    if let Some((_, per_lane, slow)) = ARITHMETIC.iter().find(|(known, ..)| own.starts_with(known)) {
        let shape = Shape::of_value(operation.operand(0).ok());
        let work = flops(shape, *per_lane, *slow, own.starts_with("fma."));
        return Some(OtherWork { flops: (work.flops > 0).then_some(work), moves: Vec::new() });
    }
    if let Some((kind, bytes)) = matrix_bytes(own) {
        let moved = Moved { kind, pointer: operation.operand(0).ok()?, bytes, lanes: 1, indexed: false };
        return Some(OtherWork { flops: None, moves: vec![moved] });
    }
    let bytes = copied_bytes(own)?;
    let (to, from) = (operation.operand(0).ok()?, operation.operand(1).ok()?);
    Some(OtherWork { flops: None, moves: copied(to, from, bytes) })
}

/// Bytes that each thread copies from global to shared memory by `cp.async.ca.shared.global.16` or its like.
pub(super) fn copied_bytes(own: &str) -> Option<u32> {
    let copy = own.strip_prefix("cp.async.")?;
    let bytes = copy.strip_prefix("ca.shared.global.").or_else(|| copy.strip_prefix("cg.shared.global."))?;
    bytes.split('.').next()?.parse().ok()
}

/// Bytes that each thread gets or gives by `ldmatrix.sync.aligned.m8n8.x4.b16` or its like: a matrix of 8 times 8 halves is
/// four bytes a thread.
fn matrix_bytes(own: &str) -> Option<(AccessKind, u32)> {
    let (kind, rest) = match (own.strip_prefix("ldmatrix."), own.strip_prefix("stmatrix.")) {
        (Some(rest), _) => (AccessKind::Load, rest),
        (_, Some(rest)) => (AccessKind::Store, rest),
        _ => return None,
    };
    let count: u32 = rest.split('.').find_map(|part| part.strip_prefix('x')?.parse().ok())?;
    (rest.contains(".b16") && count <= 4).then_some((kind, 4 * count))
}

/// Inline PTX that neither loads nor stores: copies, atomic updates, waits, and barriers to the compiler, of which no
/// instruction is left.
pub(super) fn assembly_work<'c, 'a>(operation: OperationRef<'c, 'a>) -> Option<OtherWork<'c, 'a>> {
    let assembly = Assembly::of(operation)?;
    if assembly.does_nothing() {
        return Some(OtherWork::default());
    }
    if let Some((to, from, bytes)) = assembly.copy(operation) {
        return Some(OtherWork { flops: None, moves: copied(to, from, bytes) });
    }
    let (access, _) = assembly.device_access(operation)?;
    let (pointer, bytes) = (access.pointer, access.shape.bytes());
    let flops = access.shape.is_float().then(|| flops(access.shape.clone(), 1, false, false));
    let half = |kind| Moved { kind, pointer, bytes, lanes: 1, indexed: false };
    Some(OtherWork { flops, moves: [AccessKind::Load, AccessKind::Store].map(half).into() })
}

fn copied<'c, 'a>(to: Value<'c, 'a>, from: Value<'c, 'a>, bytes: u32) -> Vec<Moved<'c, 'a>> {
    let half = |kind, pointer| Moved { kind, pointer, bytes, lanes: 1, indexed: false };
    vec![half(AccessKind::Load, from), half(AccessKind::Store, to)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_four_bytes_a_thread() {
        assert_eq!(matrix_bytes("ldmatrix.sync.aligned.m8n8.x4.b16.p3"), Some((AccessKind::Load, 16)));
        assert_eq!(matrix_bytes("stmatrix.sync.aligned.m8n8.x2.trans.b16"), Some((AccessKind::Store, 8)));
        assert_eq!(matrix_bytes("cp.async.wait.all"), None);
        assert_eq!(copied_bytes("cp.async.cg.shared.global.16.s"), Some(16));
    }
}

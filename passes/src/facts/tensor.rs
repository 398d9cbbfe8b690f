//! Matrix products on tensor cores: what one of a warp's threads has of them.

use crate::ir::device_name;
use kinstr_trace::sites::FlopFact;
use melior::ir::OperationRef;

/// Threads that do a product together: a warp, or for `wgmma` four.
const WARP: u32 = 32;

/// The product that `operation` is, if it is one: `wmma` and `mma` intrinsics, `wgmma` in inline PTX.
pub fn tensor_product(operation: OperationRef<'_, '_>) -> Option<FlopFact> {
    product(&device_name(operation))
}

fn product(name: &str) -> Option<FlopFact> {
    let is_product = ["llvm.nvvm.mma.m", "nvvm.mma.", "wgmma.mma_async", "mma.sync"];
    let is_wmma = name.contains("wmma.m") && name.contains(".mma.");
    if !is_wmma && !is_product.iter().any(|part| name.contains(part)) {
        return None;
    }
    let threads = if name.contains("wgmma") { 4 * WARP } else { WARP };
    let [m, n, k] = name.split('.').find_map(sizes)?;
    let flops = 2 * m * n * k / threads;
    Some(FlopFact { dtype: dtype(name).to_owned(), lanes: 1, flops, slow: false, fused: true, tensor: true })
}

/// `m16n8k16`.
fn sizes(part: &str) -> Option<[u32; 3]> {
    let (m, rest) = part.strip_prefix('m')?.split_once('n')?;
    let (n, k) = rest.split_once('k')?;
    Some([m.parse().ok()?, n.parse().ok()?, k.parse().ok()?])
}

/// Type of the operands. Intrinsics of 16-bit floats name the accumulator alone.
fn dtype(name: &str) -> &'static str {
    let parts: Vec<&str> = name.split(['.', ' ', '\n']).collect();
    let known = ["bf16", "tf32", "e4m3", "e5m2", "s8", "u8", "f64"];
    known.into_iter().find(|dtype| parts.contains(dtype)).unwrap_or("f16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_shared_by_the_threads_of_a_warp() {
        let wmma = product("llvm.nvvm.wmma.m16n16k16.mma.row.row.f32.f32").unwrap();
        assert_eq!((wmma.dtype.as_str(), wmma.flops), ("f16", 256));
        let mma = product("llvm.nvvm.mma.m16n8k8.row.col.tf32").unwrap();
        assert_eq!((mma.dtype.as_str(), mma.flops), ("tf32", 64));
        let group = product("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {").unwrap();
        assert_eq!((group.dtype.as_str(), group.flops), ("bf16", 2048));
        assert_eq!(product("llvm.nvvm.wmma.m16n16k16.load.a.row.stride.f16"), None);
    }
}

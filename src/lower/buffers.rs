//! Which buffer of the entry each argument of a kernel is: what the facts of its accesses say of memory.

use kinstr_passes::{facts::Passed, ir, transforms::adapt_entry::find_entry};
use melior::ir::{
    Module, OperationRef, Value, ValueLike,
    attribute::DenseI32ArrayAttribute,
    block::BlockArgument,
    operation::{OperationLike, OperationResult},
};
use std::collections::BTreeMap;

/// Segments of a `gpu.launch_func`'s operands before those of the kernel: dependencies, three sizes each of grid, blocks and
/// clusters, shared memory.
const BEFORE_OPERANDS: usize = 11;

/// For each kernel that `module` launches, what its arguments are, as LLVM has them. Where launches differ, nothing is known.
pub fn passed(module: &Module<'_>) -> BTreeMap<String, Vec<Passed>> {
    let Ok(entry) = find_entry(module, None) else { return BTreeMap::new() };
    let mut allocations = Vec::new();
    let mut kernels: BTreeMap<String, Vec<Passed>> = BTreeMap::new();
    for launch in ir::nested(entry).into_iter().filter(|operation| ir::is(*operation, "gpu.launch_func")) {
        let Some((kernel, operands)) = launched(launch) else { continue };
        let now: Vec<Passed> =
            operands.into_iter().flat_map(|operand| expanded(operand, &mut allocations)).collect();
        let known = kernels.entry(kernel).or_insert_with(|| now.clone());
        for (known, now) in known.iter_mut().zip(now) {
            if *known != now {
                *known = Passed::Unknown;
            }
        }
    }
    kernels
}

/// The kernel's name and operands.
fn launched<'c, 'a>(launch: OperationRef<'c, 'a>) -> Option<(String, Vec<Value<'c, 'a>>)> {
    let kernel = launch.attribute("kernel").ok()?.to_string();
    let kernel = kernel.rsplit("::").next()?.trim_matches(['@', '"']).to_owned();
    let sizes = DenseI32ArrayAttribute::try_from(launch.attribute("operandSegmentSizes").ok()?).ok()?;
    let size = |index| sizes.element(index).ok().and_then(|size| usize::try_from(size).ok());
    let start = (0..BEFORE_OPERANDS).map(size).sum::<Option<usize>>()?;
    let operands = launch.operands().skip(start).take(size(BEFORE_OPERANDS)?);
    Some((kernel, operands.collect()))
}

/// A memref becomes two pointers, an offset, and a size and a stride for each dimension.
fn expanded<'c: 'a, 'a>(operand: Value<'c, 'a>, allocations: &mut Vec<Value<'c, 'a>>) -> Vec<Passed> {
    let text = operand.r#type().to_string();
    let Some(inside) = text.strip_prefix("memref<") else { return vec![Passed::Unknown] };
    let is_size = |part: &&str| *part == "?" || part.bytes().all(|digit| digit.is_ascii_digit());
    let rank = inside.split('x').take_while(is_size).count();
    let buffer = root(operand, allocations);
    [vec![buffer; 2], vec![Passed::Unknown; 1 + 2 * rank]].concat()
}

fn root<'c: 'a, 'a>(mut value: Value<'c, 'a>, allocations: &mut Vec<Value<'c, 'a>>) -> Passed {
    while value.is_operation_result() {
        let Ok(result) = OperationResult::try_from(value) else { return Passed::Unknown };
        let source = result.owner();
        match ir::name(source).as_str() {
            "memref.alloc" | "gpu.alloc" => {
                let known = allocations.iter().position(|known| *known == value);
                let number = known.unwrap_or_else(|| {
                    allocations.push(value);
                    allocations.len() - 1
                });
                return u32::try_from(number).map_or(Passed::Unknown, Passed::Allocation);
            }
            "memref.cast"
            | "memref.subview"
            | "memref.view"
            | "memref.reinterpret_cast"
            | "memref.collapse_shape"
            | "memref.expand_shape" => match source.operand(0) {
                Ok(operand) => value = operand,
                Err(_) => return Passed::Unknown,
            },
            _ => return Passed::Unknown,
        }
    }
    let argument = BlockArgument::try_from(value).map(|argument| argument.argument_number());
    argument.ok().and_then(|number| u32::try_from(number).ok()).map_or(Passed::Unknown, Passed::Argument)
}

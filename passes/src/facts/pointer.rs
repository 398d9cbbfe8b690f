//! Which memory object a pointer is derived from.

use crate::ir::name;
use kinstr_trace::sites::Buffer;
use melior::ir::{
    BlockLike, BlockRef, OperationRef, Value, ValueLike,
    attribute::{DenseI32ArrayAttribute, FlatSymbolRefAttribute, IntegerAttribute},
    block::BlockArgument,
    operation::{OperationLike, OperationResult},
};
use std::collections::HashMap;

/// Deep pointer chains come from generated code; beyond this many steps the root is unknown.
const MAX_STEPS: u32 = 64;

/// Follows pointers to their roots, remembering what was found.
pub struct PointerRoots<'d> {
    known: HashMap<*const std::ffi::c_void, Buffer>,
    allocations: &'d mut u32,
}

impl<'d> PointerRoots<'d> {
    /// `allocations` is the number of allocation sites met so far.
    pub fn new(allocations: &'d mut u32) -> Self {
        Self { known: HashMap::new(), allocations }
    }

    /// Root of `pointer`, or of all pointers in a vector of them.
    pub fn of(&mut self, pointer: Value<'_, '_>) -> Buffer {
        self.trace(pointer, MAX_STEPS)
    }

    fn trace(&mut self, value: Value<'_, '_>, steps: u32) -> Buffer {
        let key = value.to_raw().ptr;
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        if steps == 0 {
            return Buffer::Unknown;
        }
        // A pointer that goes round a loop is derived from itself: it adds nothing to what enters the loop.
        self.known.insert(key, Buffer::Unknown);
        let found = match OperationResult::try_from(value) {
            Ok(result) => self.trace_operation(result.owner(), steps - 1),
            Err(_) => self.trace_argument(value, steps - 1),
        };
        self.known.insert(key, found.clone());
        found
    }

    fn trace_operation(&mut self, operation: OperationRef<'_, '_>, steps: u32) -> Buffer {
        match name(operation).as_str() {
            "llvm.getelementptr" | "llvm.bitcast" | "llvm.addrspacecast" | "llvm.freeze"
            | "llvm.insertelement" | "llvm.shufflevector" | "llvm.ptrtoint" | "llvm.inttoptr"
            | "llvm.add" => operation.operand(0).map_or(Buffer::Unknown, |base| self.trace(base, steps)),
            "llvm.select" => self.agree(operation.operands().skip(1).collect(), steps),
            "llvm.alloca" => Buffer::Stack,
            "llvm.mlir.addressof" => Buffer::Global,
            "llvm.load" => entry_argument(operation).map_or(Buffer::Unknown, Buffer::Argument),
            "llvm.call" if is_allocator(operation) => {
                *self.allocations += 1;
                Buffer::Allocation(*self.allocations - 1)
            }
            _ => Buffer::Unknown,
        }
    }

    /// A block argument: what every predecessor passes, if they agree. A function's argument: what its callers pass.
    fn trace_argument(&mut self, value: Value<'_, '_>, steps: u32) -> Buffer {
        let Ok(argument) = BlockArgument::try_from(value) else { return Buffer::Unknown };
        let (block, index) = (argument.owner(), argument.argument_number());
        let function = block.parent_operation().filter(|_| block.predecessor_count() == 0);
        if let Some(buffer) = function.and_then(|function| super::passed::buffer_of(function, index)) {
            return buffer;
        }
        let incoming = match function {
            Some(function) => passed_values(function, index),
            None => incoming_values(block, index),
        };
        self.agree(incoming, steps)
    }

    fn agree(&mut self, values: Vec<Value<'_, '_>>, steps: u32) -> Buffer {
        let mut roots: Vec<Buffer> = values.into_iter().map(|value| self.trace(value, steps)).collect();
        roots.retain(|root| *root != Buffer::Unknown);
        roots.sort();
        roots.dedup();
        match roots.as_slice() {
            [one] => one.clone(),
            _ => Buffer::Unknown,
        }
    }
}

/// Values that `block`'s predecessors pass as its argument number `index`.
pub(super) fn incoming_values<'c, 'a>(block: BlockRef<'c, 'a>, index: usize) -> Vec<Value<'c, 'a>> {
    let mut values = Vec::new();
    for number in 0..block.predecessor_count() {
        let Ok(predecessor) = block.predecessor(number) else { continue };
        let Some(terminator) = crate::ir::operations(predecessor).last() else { continue };
        for successor in 0..terminator.successor_count() {
            if terminator.successor(successor).is_ok_and(|target| target == block)
                && let Some(offset) = successor_operands(terminator, successor)
                && let Ok(value) = terminator.operand(offset + index)
            {
                values.push(value);
            }
        }
    }
    values
}

/// Values that the direct calls of `function` in its module pass as argument number `index`.
fn passed_values<'c, 'a>(function: OperationRef<'c, 'a>, index: usize) -> Vec<Value<'c, 'a>> {
    let symbol = crate::ir::symbol(function);
    let Some(module) = function.parent_operation() else { return Vec::new() };
    let is_call = |operation: &OperationRef<'_, '_>| {
        ["llvm.call", "llvm.invoke"].contains(&name(*operation).as_str())
            && callee(*operation).is_some_and(|callee| callee == symbol)
    };
    let calls = crate::ir::nested(module).into_iter().filter(is_call);
    calls.filter(|call| index < call.operand_count()).filter_map(|call| call.operand(index).ok()).collect()
}

/// Number of the first operand that goes to successor number `successor`.
fn successor_operands(terminator: OperationRef<'_, '_>, successor: usize) -> Option<usize> {
    match name(terminator).as_str() {
        "llvm.br" => Some(0),
        "llvm.cond_br" => {
            let sizes = terminator.attribute("operandSegmentSizes").ok()?;
            let sizes = DenseI32ArrayAttribute::try_from(sizes).ok()?;
            let before = (0..=successor).filter_map(|segment| sizes.element(segment).ok()).sum::<i32>();
            usize::try_from(before).ok()
        }
        _ => None,
    }
}

/// Index of the entry's buffer if `operation` loads its data pointer: `args[i]` is a memref descriptor, whose
/// second word is the aligned pointer.
fn entry_argument(operation: OperationRef<'_, '_>) -> Option<u32> {
    let (descriptor, offset) = constant_offset(operation.operand(0).ok()?)?;
    let load = OperationResult::try_from(descriptor).ok()?.owner();
    if name(load) != "llvm.load" || offset > 8 {
        return None;
    }
    let (arguments, slot) = constant_offset(load.operand(0).ok()?)?;
    // melior prints what it refuses, and printing an op numbers its whole function: ask first.
    if !arguments.is_block_argument() {
        return None;
    }
    let argument = BlockArgument::try_from(arguments).ok()?;
    let function = argument.owner().parent_operation()?;
    let is_entry = crate::ir::symbol(function) == crate::transforms::wrap_entry::SYMBOL;
    if is_entry && argument.argument_number() == 0 { u32::try_from(slot / 8).ok() } else { None }
}

/// Splits a pointer into its base and a constant byte offset.
fn constant_offset<'c: 'a, 'a>(pointer: Value<'c, 'a>) -> Option<(Value<'c, 'a>, i64)> {
    if !pointer.is_operation_result() {
        return Some((pointer, 0));
    }
    let result = OperationResult::try_from(pointer).ok()?;
    let operation = result.owner();
    if name(operation) != "llvm.getelementptr" {
        return Some((pointer, 0));
    }
    let element = operation.attribute("elem_type").ok()?.to_string();
    if let Some(field) = field_of_pointers(operation, &element) {
        let (base, offset) = constant_offset(operation.operand(0).ok()?)?;
        return Some((base, offset + 8 * field));
    }
    let index = constant_index(operation)?;
    let size = match element.as_str() {
        "i8" => 1,
        "!llvm.ptr" | "i64" => 8,
        other => i64::from(element_size(other)?),
    };
    let (base, offset) = constant_offset(operation.operand(0).ok()?)?;
    Some((base, offset + size * index))
}

/// Which field of a struct of pointers is meant: how `wrap-pointers` finds the slots of arguments.
fn field_of_pointers(operation: OperationRef<'_, '_>, element: &str) -> Option<i64> {
    let fields = element.strip_prefix("!llvm.struct<(")?.strip_suffix(")>")?;
    let indices = DenseI32ArrayAttribute::try_from(operation.attribute("rawConstantIndices").ok()?).ok()?;
    let first = match operation.operand_count() {
        1 => i64::from(indices.element(0).ok()?),
        _ => constant_operand(operation)?,
    };
    let is_field = indices.len() == 2 && first == 0;
    let plain = fields.split(", ").all(|field| field == "ptr");
    if is_field && plain { indices.element(1).ok().map(i64::from) } else { None }
}

/// The only index of a `getelementptr`, if it is constant: in the attribute, or an operand that is a constant.
fn constant_index(operation: OperationRef<'_, '_>) -> Option<i64> {
    let indices = DenseI32ArrayAttribute::try_from(operation.attribute("rawConstantIndices").ok()?).ok()?;
    if indices.len() != 1 {
        return None;
    }
    if operation.operand_count() == 1 {
        return indices.element(0).ok().map(i64::from);
    }
    constant_operand(operation)
}

/// The second operand of an op, if it is a constant.
fn constant_operand(operation: OperationRef<'_, '_>) -> Option<i64> {
    let operand = operation.operand(1).ok().filter(|operand| operand.is_operation_result())?;
    let constant = OperationResult::try_from(operand).ok()?.owner();
    let value = IntegerAttribute::try_from(constant.attribute("value").ok()?).ok()?;
    (name(constant) == "llvm.mlir.constant").then(|| value.value())
}

/// Bytes of an array of bytes, the form LLVM gives most constant offsets: `!llvm.array<8 x i8>`.
fn element_size(element: &str) -> Option<i32> {
    element.strip_prefix("!llvm.array<")?.strip_suffix(" x i8>")?.parse().ok()
}

fn is_allocator(call: OperationRef<'_, '_>) -> bool {
    const ALLOCATORS: [&str; 5] =
        ["malloc", "aligned_alloc", "calloc", "_mlir_memref_to_llvm_alloc", "memrefAlloc"];
    callee(call).is_some_and(|callee| ALLOCATORS.contains(&callee.as_str()))
}

fn callee(call: OperationRef<'_, '_>) -> Option<String> {
    let attribute = FlatSymbolRefAttribute::try_from(call.attribute("callee").ok()?).ok()?;
    Some(attribute.value().to_owned())
}

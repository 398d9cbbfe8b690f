//! Which memory object a pointer is derived from.

use crate::ir::{callee, constant_of, name, nested, symbol};
use kinstr_trace::{sites::Buffer, work::allocates};
use melior::ir::{
    BlockLike, BlockRef, OperationRef, Value, ValueLike,
    attribute::DenseI32ArrayAttribute,
    block::BlockArgument,
    operation::{OperationLike, OperationResult},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ffi::c_void,
};

/// Values looked at for one pointer. More come from generated code; their root is unknown.
const MOST_VALUES: usize = 512;

/// Follows pointers to their roots, remembering what was found.
pub struct PointerRoots<'c, 'a> {
    known: HashMap<*const c_void, Buffer>,
    /// Allocation sites met so far.
    allocations: u32,
    /// The direct calls of each function of the module.
    calls: HashMap<String, Vec<OperationRef<'c, 'a>>>,
}

/// One walk from a pointer to everything that it may be derived from.
#[derive(Default)]
struct Walk {
    /// Values met. One that goes round a loop is derived from itself, which adds nothing.
    seen: HashSet<*const c_void>,
    roots: BTreeSet<Buffer>,
}

impl<'c, 'a> PointerRoots<'c, 'a> {
    /// `functions` are all that have a body in the module.
    pub fn new(functions: &[OperationRef<'c, 'a>]) -> Self {
        let mut calls: HashMap<String, Vec<_>> = HashMap::new();
        for operation in functions.iter().flat_map(|function| nested(*function)) {
            if let Some(callee) = callee(operation).filter(|_| is_call(operation)) {
                calls.entry(callee).or_default().push(operation);
            }
        }
        Self { known: HashMap::new(), allocations: 0, calls }
    }

    /// Root of `pointer`, or of all pointers in a vector of them: the one object that it is derived from on every path.
    pub fn of(&mut self, pointer: Value<'_, '_>) -> Buffer {
        let mut walk = Walk::default();
        self.visit(pointer, &mut walk);
        let mut roots = walk.roots.into_iter();
        match (roots.next(), roots.next()) {
            (Some(Buffer::Unknown) | None, _) | (_, Some(_)) => {
                self.known.insert(pointer.to_raw().ptr, Buffer::Unknown);
                Buffer::Unknown
            }
            (Some(only), None) => {
                // What leads to one root alone leads there from each value on the way.
                self.known.extend(walk.seen.into_iter().map(|value| (value, only.clone())));
                only
            }
        }
    }

    fn visit(&mut self, value: Value<'_, '_>, walk: &mut Walk) {
        let key = value.to_raw().ptr;
        if let Some(known) = self.known.get(&key) {
            walk.roots.insert(known.clone());
        } else if walk.seen.len() == MOST_VALUES {
            walk.roots.insert(Buffer::Unknown);
        } else if walk.seen.insert(key) {
            match OperationResult::try_from(value).ok().filter(|_| value.is_operation_result()) {
                Some(result) => self.visit_operation(result.owner(), walk),
                None => self.visit_argument(value, walk),
            }
        }
    }

    fn visit_operation(&mut self, operation: OperationRef<'_, '_>, walk: &mut Walk) {
        let operands = match name(operation).as_str() {
            "llvm.getelementptr"
            | "llvm.bitcast"
            | "llvm.addrspacecast"
            | "llvm.freeze"
            | "llvm.ptrtoint"
            | "llvm.inttoptr"
            | "llvm.add"
            | "llvm.extractelement" => 0..1,
            "llvm.insertelement" | "llvm.shufflevector" => 0..2,
            "llvm.select" => 1..3,
            // These are no memory: what is joined with them is what is meant.
            "llvm.mlir.poison" | "llvm.mlir.undef" | "llvm.mlir.zero" => return,
            _ => {
                let root = self.root(operation);
                walk.roots.insert(root);
                return;
            }
        };
        for operand in operands {
            match operation.operand(operand) {
                Ok(value) => self.visit(value, walk),
                Err(_) => drop(walk.roots.insert(Buffer::Unknown)),
            }
        }
    }

    /// The object that `operation` makes or knows.
    fn root(&mut self, operation: OperationRef<'_, '_>) -> Buffer {
        match name(operation).as_str() {
            "llvm.alloca" => Buffer::Stack,
            "llvm.mlir.addressof" => Buffer::Global,
            "llvm.load" => entry_argument(operation).map_or(Buffer::Unknown, Buffer::Argument),
            "llvm.call" | "llvm.invoke" if is_allocator(operation) => self.allocation(operation),
            _ => Buffer::Unknown,
        }
    }

    /// The number of an allocation, the same however it is reached.
    fn allocation(&mut self, call: OperationRef<'_, '_>) -> Buffer {
        let Ok(result) = call.result(0) else { return Buffer::Unknown };
        let next = &mut self.allocations;
        let number = || {
            *next += 1;
            Buffer::Allocation(*next - 1)
        };
        self.known.entry(result.to_raw().ptr).or_insert_with(number).clone()
    }

    /// A block argument: what every predecessor passes. A function's argument: what its callers pass.
    fn visit_argument(&mut self, value: Value<'_, '_>, walk: &mut Walk) {
        let Ok(argument) = BlockArgument::try_from(value) else {
            walk.roots.insert(Buffer::Unknown);
            return;
        };
        let (block, index) = (argument.owner(), argument.argument_number());
        let function = block.parent_operation().filter(|_| block.predecessor_count() == 0);
        if let Some(buffer) = function.and_then(|function| super::passed::buffer_of(function, index)) {
            walk.roots.insert(buffer);
            return;
        }
        match function {
            Some(function) => {
                let passed = self.passed_values(function, index);
                self.visit_all(Some(passed).filter(|passed| !passed.is_empty()), walk);
            }
            None => self.visit_all(incoming_values(block, index), walk),
        }
    }

    fn visit_all(&mut self, values: Option<Vec<Value<'_, '_>>>, walk: &mut Walk) {
        match values {
            Some(values) => values.into_iter().for_each(|value| self.visit(value, walk)),
            None => drop(walk.roots.insert(Buffer::Unknown)),
        }
    }

    /// Values that the direct calls of `function` in its module pass as argument number `index`.
    fn passed_values(&self, function: OperationRef<'_, '_>, index: usize) -> Vec<Value<'c, 'a>> {
        let calls = self.calls.get(&symbol(function)).into_iter().flatten();
        calls
            .filter(|call| index < call.operand_count())
            .filter_map(|call| call.operand(index).ok())
            .collect()
    }
}

/// Values that `block`'s predecessors pass as its argument number `index`; nothing if one of them passes values in a way
/// that is not known here.
pub(super) fn incoming_values<'c, 'a>(block: BlockRef<'c, 'a>, index: usize) -> Option<Vec<Value<'c, 'a>>> {
    let mut values = Vec::new();
    for number in 0..block.predecessor_count() {
        let terminator = block.predecessor(number).ok()?.terminator()?;
        for successor in 0..terminator.successor_count() {
            if terminator.successor(successor).is_ok_and(|target| target == block) {
                let offset = successor_operands(terminator, successor)?;
                values.push(terminator.operand(offset + index).ok()?);
            }
        }
    }
    Some(values)
}

fn is_call(operation: OperationRef<'_, '_>) -> bool {
    ["llvm.call", "llvm.invoke"].contains(&name(operation).as_str())
}

/// Number of the first operand that goes to successor number `successor`.
fn successor_operands(terminator: OperationRef<'_, '_>, successor: usize) -> Option<usize> {
    let sum = |attribute: &str, count: usize| {
        let sizes = DenseI32ArrayAttribute::try_from(terminator.attribute(attribute).ok()?).ok()?;
        let sum = (0..count).map(|segment| sizes.element(segment).ok()).sum::<Option<i32>>()?;
        usize::try_from(sum).ok()
    };
    match name(terminator).as_str() {
        "llvm.br" => Some(0),
        // The condition or the call's arguments, then those of each successor.
        "llvm.cond_br" | "llvm.invoke" => sum("operandSegmentSizes", successor + 1),
        // The value, those of the default, which is the first successor, then those of each case.
        "llvm.switch" if successor == 0 => Some(1),
        "llvm.switch" => Some(sum("operandSegmentSizes", 2)? + sum("case_operand_segments", successor - 1)?),
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
    constant_of(operation.operand(1).ok()?)
}

/// Bytes of an array of bytes, the form LLVM gives most constant offsets: `!llvm.array<8 x i8>`.
fn element_size(element: &str) -> Option<i32> {
    element.strip_prefix("!llvm.array<")?.strip_suffix(" x i8>")?.parse().ok()
}

fn is_allocator(call: OperationRef<'_, '_>) -> bool {
    callee(call).is_some_and(|callee| allocates(&callee))
}

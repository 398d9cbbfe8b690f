//! Walking and reading MLIR: what melior leaves to its users.

use crate::ffi;
use kinstr_trace::sites::Place;
use melior::ir::{
    BlockLike, BlockRef, Location, Module, OperationRef, RegionLike, RegionRef, Value, ValueLike,
    attribute::{FlatSymbolRefAttribute, IntegerAttribute, StringAttribute},
    operation::{OperationLike, OperationResult},
};

/// Source position of a location: the innermost inlined callee in the file of the function that it was inlined into, the
/// first located part of a fused one. A line of a library's tells its user less than the one that calls it.
pub fn place_of(location: Location<'_>) -> Option<Place> {
    if location.is_file_line_col_range() {
        let line = location.file_line_col_range_start_line();
        let file = location.file_line_col_range_filename();
        let file = file.as_string_ref().as_str().ok()?.to_owned();
        if line == 0 || file.is_empty() || file == "-" {
            return None;
        }
        return Some(Place {
            file,
            line: u32::try_from(line).ok()?,
            column: u32::try_from(location.file_line_col_range_start_column()).unwrap_or(0),
        });
    }
    if location.is_call_site() {
        let inner = place_of(location.call_site_callee());
        let Some(caller) = place_of(location.call_site_caller()) else { return inner };
        let is_near = inner.as_ref().is_none_or(|inner| inner.file != caller.file);
        return if is_near { Some(caller) } else { inner };
    }
    if location.is_name() {
        return place_of(location.name_child_location());
    }
    if location.is_fused() {
        return (0..location.fused_num_locations()).find_map(|i| place_of(location.fused_location(i)));
    }
    None
}

/// Operations of a block, in order.
pub fn operations<'c, 'a>(block: BlockRef<'c, 'a>) -> impl Iterator<Item = OperationRef<'c, 'a>> {
    std::iter::successors(block.first_operation(), |operation| operation.next_in_block())
}

/// Blocks of a region, in order.
pub fn blocks<'c, 'a>(region: RegionRef<'c, 'a>) -> impl Iterator<Item = BlockRef<'c, 'a>> {
    std::iter::successors(region.first_block(), |block| block.next_in_region())
}

/// Everything nested under `root`, parents before children, `root` itself left out.
pub fn nested<'c, 'a>(root: OperationRef<'c, 'a>) -> Vec<OperationRef<'c, 'a>> {
    let mut found = Vec::new();
    let mut stack: Vec<_> = children(root);
    stack.reverse();
    while let Some(operation) = stack.pop() {
        found.push(operation);
        let mut inner = children(operation);
        inner.reverse();
        stack.extend(inner);
    }
    found
}

fn children<'c, 'a>(operation: OperationRef<'c, 'a>) -> Vec<OperationRef<'c, 'a>> {
    // `regions()` borrows the operation; `region(i)` does not.
    (0..operation.region_count())
        .filter_map(|index| operation.region(index).ok())
        .flat_map(blocks)
        .flat_map(operations)
        .collect()
}

/// Functions of dialect `dialect` (`func` or `llvm`) with a body.
pub fn functions<'c, 'a>(module: &'a Module<'c>, dialect: &str) -> Vec<OperationRef<'c, 'a>> {
    let name = format!("{dialect}.func");
    operations(module.body())
        .filter(|operation| is(*operation, &name) && body(*operation).is_some())
        .collect()
}

/// True for the imported code of a GPU.
pub fn is_device(module: &Module<'_>) -> bool {
    let triple = string_attribute(module.as_operation(), "llvm.target_triple").unwrap_or_default();
    triple.starts_with("nvptx")
}

/// What an op of device code is by name, where LLVM has an intrinsic for it: the intrinsic's name or that of its NVVM op;
/// of inline assembly its text.
pub fn device_name(operation: OperationRef<'_, '_>) -> String {
    match name(operation).as_str() {
        "llvm.call_intrinsic" => string_attribute(operation, "intrin").unwrap_or_default(),
        "llvm.inline_asm" => string_attribute(operation, "asm_string").unwrap_or_default(),
        "llvm.call" => callee(operation).unwrap_or_default(),
        other => other.to_owned(),
    }
}

/// True if both are the same block.
pub fn is_same_block(one: BlockRef<'_, '_>, other: BlockRef<'_, '_>) -> bool {
    one.to_raw().ptr == other.to_raw().ptr
}

/// First region of a function that has one with blocks.
pub fn body<'c, 'a>(function: OperationRef<'c, 'a>) -> Option<RegionRef<'c, 'a>> {
    if function.region_count() == 0 {
        return None;
    }
    let region = function.region(0).ok()?;
    region.first_block().map(|_| region)
}

/// True if the operation's name is `name`.
pub fn is(operation: OperationRef<'_, '_>, name: &str) -> bool {
    operation.name().as_string_ref().as_str().is_ok_and(|own| own == name)
}

/// The operation's name as an owned string.
pub fn name(operation: OperationRef<'_, '_>) -> String {
    operation.name().as_string_ref().as_str().unwrap_or_default().to_owned()
}

/// The symbol name of a function or global, empty if it has none.
pub fn symbol(operation: OperationRef<'_, '_>) -> String {
    string_attribute(operation, "sym_name").unwrap_or_default()
}

/// A string attribute's value.
pub fn string_attribute(operation: OperationRef<'_, '_>, name: &str) -> Option<String> {
    Some(ffi::string_value(StringAttribute::try_from(operation.attribute(name).ok()?).ok()?))
}

/// The symbol that a call or invoke names; nothing for one through a pointer, and for any other op.
pub fn callee(call: OperationRef<'_, '_>) -> Option<String> {
    Some(ffi::symbol_value(FlatSymbolRefAttribute::try_from(call.attribute("callee").ok()?).ok()?))
}

/// Where a block's first op may stand, and the op that stands there now; a landing pad must stay first.
pub fn first_place<'c, 'a>(block: BlockRef<'c, 'a>) -> Option<(usize, OperationRef<'c, 'a>)> {
    let first = block.first_operation()?;
    Some((usize::from(is(first, "llvm.landingpad")), first))
}

/// The integer that `value` is, if it is a constant of the LLVM dialect.
pub fn constant_of(value: Value<'_, '_>) -> Option<i64> {
    // melior prints what it refuses, and printing an op numbers its whole function: ask first.
    if !value.is_operation_result() {
        return None;
    }
    let constant = OperationResult::try_from(value).ok()?.owner();
    if !is(constant, "llvm.mlir.constant") {
        return None;
    }
    Some(IntegerAttribute::try_from(constant.attribute("value").ok()?).ok()?.value())
}

//! The few LLVM-dialect ops that probes become besides calls of their record library.

use crate::transforms::TransformError;
use melior::{
    Context,
    ir::{
        Identifier, Location, Operation, Type, Value,
        attribute::{DenseI32ArrayAttribute, FlatSymbolRefAttribute, IntegerAttribute, TypeAttribute},
        operation::OperationBuilder,
        r#type::IntegerType,
    },
};

/// An i64 constant.
pub fn constant<'c>(
    context: &'c Context,
    location: Location<'c>,
    value: i64,
) -> Result<Operation<'c>, TransformError> {
    let value = IntegerAttribute::new(word(context), value).into();
    let op = OperationBuilder::new("llvm.mlir.constant", location);
    build(op.add_attributes(&[(Identifier::new(context, "value"), value)]).add_results(&[word(context)]))
}

/// Room on the stack for `count` i64.
pub fn alloca<'c>(
    context: &'c Context,
    location: Location<'c>,
    count: Value<'c, '_>,
) -> Result<Operation<'c>, TransformError> {
    let element = TypeAttribute::new(word(context)).into();
    let pointer = Type::parse(context, "!llvm.ptr").ok_or_else(|| refused("!llvm.ptr"))?;
    let op = OperationBuilder::new("llvm.alloca", location);
    let op = op.add_attributes(&[(Identifier::new(context, "elem_type"), element)]);
    build(op.add_operands(&[count]).add_results(&[pointer]))
}

/// The i64 at `from`.
pub fn load<'c>(
    context: &'c Context,
    location: Location<'c>,
    from: Value<'c, '_>,
) -> Result<Operation<'c>, TransformError> {
    build(OperationBuilder::new("llvm.load", location).add_operands(&[from]).add_results(&[word(context)]))
}

/// `value` to `to`.
pub fn store<'c>(
    location: Location<'c>,
    value: Value<'c, '_>,
    to: Value<'c, '_>,
) -> Result<Operation<'c>, TransformError> {
    build(OperationBuilder::new("llvm.store", location).add_operands(&[value, to]))
}

/// A call of a function that takes and returns nothing.
pub fn call<'c>(
    context: &'c Context,
    location: Location<'c>,
    function: &str,
) -> Result<Operation<'c>, TransformError> {
    let sizes = |list: &[i32]| DenseI32ArrayAttribute::new(context, list).into();
    build(OperationBuilder::new("llvm.call", location).add_attributes(&[
        (Identifier::new(context, "callee"), FlatSymbolRefAttribute::new(context, function).into()),
        (Identifier::new(context, "operandSegmentSizes"), sizes(&[0, 0])),
        (Identifier::new(context, "op_bundle_sizes"), sizes(&[])),
    ]))
}

fn word(context: &Context) -> Type<'_> {
    IntegerType::new(context, 64).into()
}

fn build(op: OperationBuilder<'_>) -> Result<Operation<'_>, TransformError> {
    op.build().map_err(|error| TransformError::Refused { what: "an LLVM op", detail: error.to_string() })
}

fn refused(what: &'static str) -> TransformError {
    TransformError::Refused { what, detail: "MLIR does not know it".into() }
}

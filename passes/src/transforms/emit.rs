//! LLVM-dialect ops in front of another op.

use super::TransformError;
use melior::{
    Context,
    ir::{
        Attribute, BlockLike, Identifier, Operation, OperationRef, Type, Value,
        operation::{OperationBuilder, OperationLike},
    },
};

/// Builds ops at the place, and in front, of one op.
#[derive(Clone, Copy)]
pub(super) struct Emitter<'c, 'a> {
    context: &'c Context,
    at: OperationRef<'c, 'a>,
}

impl<'c, 'a> Emitter<'c, 'a> {
    pub(super) fn new(context: &'c Context, at: OperationRef<'c, 'a>) -> Self {
        Self { context, at }
    }

    /// Puts `operation` there.
    pub(super) fn insert(&self, operation: Operation<'c>) -> Result<OperationRef<'c, 'a>, TransformError> {
        let outside = || TransformError::Entry("a probe stands outside any block".into());
        Ok(self.at.block().ok_or_else(outside)?.insert_operation_before(self.at, operation))
    }

    /// `llvm.mlir.constant` of an attribute such as `true` or `7 : i64`.
    pub(super) fn constant(&self, value: &str) -> Result<Value<'c, 'a>, TransformError> {
        let kind = value.rsplit_once(" : ").map_or("i1", |(_, kind)| kind);
        self.value("llvm.mlir.constant", &[("value", value)], &[], kind)
    }

    /// One lane of a vector.
    pub(super) fn lane(
        &self,
        vector: Value<'c, 'a>,
        lane: u32,
        kind: &str,
    ) -> Result<Value<'c, 'a>, TransformError> {
        let position = self.constant(&format!("{lane} : i64"))?;
        self.value("llvm.extractelement", &[], &[vector, position], kind)
    }

    /// An op with one result.
    pub(super) fn value(
        &self,
        name: &'static str,
        attributes: &[(&str, &str)],
        operands: &[Value<'c, 'a>],
        result: &str,
    ) -> Result<Value<'c, 'a>, TransformError> {
        let operation = self.insert(self.build(name, attributes, operands, result)?)?;
        let refused =
            |error: melior::Error| TransformError::Refused { what: name, detail: error.to_string() };
        Ok(operation.result(0).map_err(refused)?.into())
    }

    fn build(
        &self,
        name: &'static str,
        attributes: &[(&str, &str)],
        operands: &[Value<'c, 'a>],
        result: &str,
    ) -> Result<Operation<'c>, TransformError> {
        let refused = |detail: &str| TransformError::Refused { what: name, detail: detail.to_owned() };
        let named = |(name, text): &(&str, &str)| {
            let attribute = Attribute::parse(self.context, text).ok_or_else(|| refused(text))?;
            Ok((Identifier::new(self.context, name), attribute))
        };
        let attributes = attributes.iter().map(named).collect::<Result<Vec<_>, TransformError>>()?;
        let result = Type::parse(self.context, result).ok_or_else(|| refused(result))?;
        OperationBuilder::new(name, self.at.location())
            .add_attributes(&attributes)
            .add_operands(operands)
            .add_results(&[result])
            .build()
            .map_err(|error| refused(&error.to_string()))
    }
}

//! `adapt-entry`: the entry function gets the shape kinstr calls: inputs, then outputs as memrefs.
//!
//! Each returned tensor becomes a trailing memref argument that the result is materialised in, so that
//! bufferisation can compute in place; tensor inputs are marked read-only.

use super::TransformError;
use crate::{
    ffi::make_mut,
    ir::{body, functions, is, operations, string_attribute, symbol},
};
use melior::{
    Context, IrRewriter,
    ir::{
        Attribute, BlockLike, Identifier, Module, OperationRef, RegionLike, Type, Value, ValueLike,
        attribute::{ArrayAttribute, DictionaryAttribute, TypeAttribute},
        operation::{OperationBuilder, OperationLike, OperationMutLike},
        r#type::FunctionType,
    },
};
use serde::{Deserialize, Serialize};

/// What an entry argument or result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A tensor.
    Tensor,
    /// A memref.
    Memref,
    /// A number.
    Scalar,
}

/// Type of one argument or result of the entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// The type as MLIR prints it.
    pub text: String,
    /// What it is.
    pub kind: Kind,
    /// Sizes, `None` where dynamic; empty for a scalar.
    pub shape: Vec<Option<u64>>,
    /// Element type as MLIR prints it.
    pub element: String,
    /// False for a memref with a strided or mapped layout, or in another memory space.
    pub plain: bool,
}

/// The entry as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Symbol.
    pub name: String,
    /// Arguments in order.
    pub arguments: Vec<Parameter>,
    /// Results in order.
    pub results: Vec<Parameter>,
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |list: &[Parameter]| list.iter().map(|p| p.text.clone()).collect::<Vec<_>>().join(", ");
        write!(f, "func.func @{}({})", self.name, list(&self.arguments))?;
        if self.results.is_empty() { Ok(()) } else { write!(f, " -> ({})", list(&self.results)) }
    }
}

impl Parameter {
    fn of(r#type: Type<'_>) -> Self {
        let text = r#type.to_string();
        let shaped = |kind, prefix: &str| {
            let inside = text.strip_prefix(prefix)?.strip_suffix('>')?;
            let (sizes, rest) = inside.split_once(", ").map_or((inside, None), |(a, b)| (a, Some(b)));
            let mut parts: Vec<&str> = sizes.split('x').collect();
            // Element types hold no `x`, except `index` and `complex`.
            let mut element = parts.pop()?.to_owned();
            if element.is_empty() {
                element = format!("{}x", parts.pop()?);
            }
            let shape = parts.iter().map(|size| size.parse().ok()).collect();
            Some(Self { text: text.clone(), kind, shape, element, plain: rest.is_none() })
        };
        shaped(Kind::Tensor, "tensor<").or_else(|| shaped(Kind::Memref, "memref<")).unwrap_or_else(|| Self {
            text: text.clone(),
            kind: Kind::Scalar,
            shape: Vec::new(),
            element: text.clone(),
            plain: true,
        })
    }
}

/// Finds the entry: the function called `wanted`, or else the only public one.
///
/// # Errors
/// [`TransformError::Entry`] naming the functions there are.
pub fn find_entry<'c, 'a>(
    module: &'a Module<'c>,
    wanted: Option<&str>,
) -> Result<OperationRef<'c, 'a>, TransformError> {
    let all = functions(module, "func");
    let names = all.iter().map(|f| format!("@{}", symbol(*f))).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        return all.iter().copied().find(|function| symbol(*function) == wanted).ok_or_else(|| {
            TransformError::Entry(format!(
                "no function `@{wanted}` with a body; there is: {}",
                or_none(&names)
            ))
        });
    }
    let is_private =
        |f: &OperationRef<'_, '_>| string_attribute(*f, "sym_visibility").as_deref() == Some("private");
    let public: Vec<_> = all.into_iter().filter(|function| !is_private(function)).collect();
    match public.as_slice() {
        [one] => Ok(*one),
        [] => Err(TransformError::Entry(format!(
            "no public func.func with a body; there is: {}",
            or_none(&names)
        ))),
        _ => Err(TransformError::Entry(format!(
            "several public functions ({names}): name one with a line `// kinstr: entry=NAME`"
        ))),
    }
}

fn or_none(names: &str) -> &str {
    if names.is_empty() { "none" } else { names }
}

/// The types of an entry.
///
/// # Errors
/// [`TransformError::Entry`] if the function has no function type.
pub fn signature_of(function: OperationRef<'_, '_>) -> Result<Signature, TransformError> {
    let kind = function_type(function)?;
    Ok(Signature {
        name: symbol(function),
        arguments: (0..kind.input_count()).filter_map(|i| kind.input(i).ok()).map(Parameter::of).collect(),
        results: (0..kind.result_count()).filter_map(|i| kind.result(i).ok()).map(Parameter::of).collect(),
    })
}

fn function_type<'c>(function: OperationRef<'c, '_>) -> Result<FunctionType<'c>, TransformError> {
    let refused = |_| TransformError::Entry(format!("@{} has no function type", symbol(function)));
    let attribute = function.attribute("function_type").map_err(refused)?;
    let attribute = TypeAttribute::try_from(attribute).map_err(refused)?;
    FunctionType::try_from(attribute.value()).map_err(refused)
}

/// Rewrites the entry in place and returns the signature after it: every output is a memref argument.
///
/// # Errors
/// [`TransformError::Entry`] for results that cannot be materialised, with what to write instead.
pub fn adapt_entry<'c>(
    context: &'c Context,
    module: &Module<'c>,
    entry: &str,
) -> Result<Signature, TransformError> {
    let function = find_entry(module, Some(entry))?;
    let before = signature_of(function)?;
    if let Some(memref) = before.results.iter().find(|result| result.kind == Kind::Memref) {
        return Err(TransformError::Entry(format!(
            "@{entry} returns `{}`: take the output as a trailing argument, or return a tensor",
            memref.text
        )));
    }
    let outputs =
        before.results.iter().map(|result| output_type(context, result)).collect::<Result<Vec<_>, _>>()?;
    let region = body(function).and_then(|region| region.first_block().map(|block| (region, block)));
    let (region, first) = region.ok_or_else(|| TransformError::Entry(format!("@{entry} has no body")))?;
    let arguments: Vec<Value<'c, '_>> =
        outputs.iter().map(|output| first.add_argument(*output, function.location())).collect();
    if !outputs.is_empty() {
        for block in crate::ir::blocks(region) {
            if let Some(last) = operations(block).last().filter(|last| is(*last, "func.return")) {
                materialize(context, last, &arguments)?;
            }
        }
    }
    set_type(context, function, &outputs)?;
    signature_of(function)
}

fn output_type<'c>(context: &'c Context, result: &Parameter) -> Result<Type<'c>, TransformError> {
    let text = match result.kind {
        Kind::Tensor => result.text.replacen("tensor<", "memref<", 1),
        Kind::Scalar | Kind::Memref => format!("memref<{}>", result.text),
    };
    Type::parse(context, &text).ok_or(TransformError::Refused { what: "an output type", detail: text })
}

/// Stores what `return_op` returns into `outputs` and makes it return nothing.
fn materialize<'c>(
    context: &'c Context,
    return_op: OperationRef<'c, '_>,
    outputs: &[Value<'c, '_>],
) -> Result<(), TransformError> {
    let Some(block) = return_op.block() else { return Ok(()) };
    let location = return_op.location();
    let flag = |name| (Identifier::new(context, name), Attribute::unit(context));
    for (index, output) in outputs.iter().enumerate() {
        let value = return_op.operand(index).map_err(|error| refused("a result", &error))?;
        let store = if value.r#type().to_string().starts_with("tensor<") {
            OperationBuilder::new("bufferization.materialize_in_destination", location)
                .add_attributes(&[flag("restrict"), flag("writable")])
                .add_operands(&[value, *output])
        } else {
            OperationBuilder::new("memref.store", location).add_operands(&[value, *output])
        };
        block.insert_operation_before(
            return_op,
            store.build().map_err(|error| refused("an output store", &error))?,
        );
    }
    let bare = OperationBuilder::new("func.return", location).build();
    block.insert_operation_before(return_op, bare.map_err(|error| refused("func.return", &error))?);
    IrRewriter::new(context).as_rewriter_base().erase_op(return_op);
    Ok(())
}

fn refused(what: &'static str, error: &melior::Error) -> TransformError {
    TransformError::Refused { what, detail: error.to_string() }
}

/// Sets the new type, the C interface kinstr calls through, and the attributes of the arguments.
fn set_type<'c>(
    context: &'c Context,
    function: OperationRef<'c, '_>,
    outputs: &[Type<'c>],
) -> Result<(), TransformError> {
    let old = function_type(function)?;
    let mut inputs: Vec<Type<'c>> = (0..old.input_count()).filter_map(|i| old.input(i).ok()).collect();
    let attributes: Vec<Attribute<'c>> = inputs
        .iter()
        .map(|input| argument_attributes(context, *input))
        .chain(outputs.iter().map(|_| empty(context)))
        .collect();
    inputs.extend(outputs);
    let mut function = make_mut(function);
    let results: Vec<Type<'c>> = Vec::new();
    function.set_attribute(
        "function_type",
        TypeAttribute::new(FunctionType::new(context, &inputs, &results).into()).into(),
    );
    function.set_attribute("arg_attrs", ArrayAttribute::new(context, &attributes).into());
    if function.has_attribute("res_attrs") {
        function.remove_attribute("res_attrs").map_err(|error| refused("res_attrs", &error))?;
    }
    function.set_attribute("llvm.emit_c_interface", Attribute::unit(context));
    Ok(())
}

fn empty(context: &Context) -> Attribute<'_> {
    DictionaryAttribute::new(context, &[]).into()
}

/// Bufferisation may write to a tensor argument unless told otherwise; inputs are read-only.
fn argument_attributes<'c>(context: &'c Context, input: Type<'c>) -> Attribute<'c> {
    if !input.to_string().starts_with("tensor<") {
        return empty(context);
    }
    let writable = Identifier::new(context, "bufferization.writable");
    let no = melior::ir::attribute::BoolAttribute::new(context, false);
    DictionaryAttribute::new(context, &[(writable, no.into())]).into()
}

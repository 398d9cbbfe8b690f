//! `wrap-entry`: one C function that kinstr calls for every candidate, `void __kinstr_entry(void **args)`.

use super::TransformError;
use super::adapt_entry::{Kind, Signature};
use crate::{
    ffi::{make_mut, parse_module},
    ir::{functions, is, nested, operations, place_of, symbol},
};
use melior::{
    Context,
    ir::{
        Attribute, BlockLike, Location, Module, OperationRef,
        attribute::{ArrayAttribute, TypeAttribute},
        operation::{OperationLike, OperationMutLike},
    },
};

/// Symbol of the wrapper.
pub const SYMBOL: &str = "__kinstr_entry";

/// Adds the wrapper to an LLVM-dialect module, makes every other function internal, inlines the entry into the
/// wrapper, and tells LLVM what kinstr guarantees: no two buffers overlap.
///
/// # Errors
/// [`TransformError`] if the module has no C interface for the entry or MLIR refuses the wrapper.
pub fn wrap_entry<'c>(
    context: &'c Context,
    module: &Module<'c>,
    signature: &Signature,
) -> Result<(), TransformError> {
    let interface = format!("_mlir_ciface_{}", signature.name);
    let internal = parse_attribute(context, "#llvm.linkage<internal>")?;
    let mut found = false;
    for function in functions(module, "llvm") {
        let name = symbol(function);
        let mut function = make_mut(function);
        function.set_attribute("linkage", internal);
        if name == signature.name || name == interface {
            found |= name == interface;
            function.set_attribute("always_inline", Attribute::unit(context));
        }
        if name == signature.name {
            let attributes = no_alias(context, module, &name)?;
            function.set_attribute("arg_attrs", attributes);
        }
    }
    if !found {
        let detail = format!(
            "no `{interface}` after lowering: was the pipeline changed to drop llvm.emit_c_interface?"
        );
        return Err(TransformError::Entry(detail));
    }
    let text = wrapper(&interface, signature);
    let parsed = parse_module(context, &text, SYMBOL)
        .ok_or_else(|| TransformError::Refused { what: "the entry wrapper", detail: text.clone() })?;
    let place = functions(module, "llvm").into_iter().find(|f| symbol(*f) == signature.name);
    // A plain location: the entry's own belongs to it as a subprogram.
    let place = place
        .and_then(|function| place_of(function.location()))
        .map_or(Location::unknown(context), |place| {
            Location::new(context, &place.file, place.line as usize, place.column as usize)
        });
    for operation in operations(parsed.body()).filter(|operation| symbol(*operation) == SYMBOL) {
        let wrapper = module.body().append_operation((*operation).clone());
        stand_at(context, wrapper, place);
    }
    Ok(())
}

/// The wrapper and its call stand where the entry does, so that lines of the entry survive in it; what it loads
/// stands nowhere.
fn stand_at<'c>(context: &'c Context, wrapper: OperationRef<'c, '_>, place: Location<'c>) {
    let nowhere = Location::unknown(context);
    for operation in nested(wrapper) {
        let location = if is(operation, "llvm.call") { place } else { nowhere };
        make_mut(operation).set_location(location);
    }
    make_mut(wrapper).set_location(place);
}

fn parse_attribute<'c>(context: &'c Context, text: &str) -> Result<Attribute<'c>, TransformError> {
    Attribute::parse(context, text)
        .ok_or_else(|| TransformError::Refused { what: "an attribute", detail: text.into() })
}

/// `llvm.noalias` on every pointer argument of the entry.
fn no_alias<'c>(
    context: &'c Context,
    module: &Module<'c>,
    name: &str,
) -> Result<Attribute<'c>, TransformError> {
    let function: Option<OperationRef<'_, '_>> =
        functions(module, "llvm").into_iter().find(|f| symbol(*f) == name);
    let kind = function
        .and_then(|f| f.attribute("function_type").ok())
        .and_then(|attribute| TypeAttribute::try_from(attribute).ok())
        .map(|attribute| attribute.value().to_string())
        .unwrap_or_default();
    let arguments =
        kind.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(inside, _)| inside);
    let list = split_types(arguments)
        .iter()
        .map(|argument| {
            parse_attribute(context, if argument.trim().ends_with("ptr") { "{llvm.noalias}" } else { "{}" })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(ArrayAttribute::new(context, &list).into())
}

fn split_types(list: &str) -> Vec<String> {
    crate::pipeline::elements(list)
}

fn wrapper(interface: &str, signature: &Signature) -> String {
    let types: Vec<&str> = signature
        .arguments
        .iter()
        .map(|argument| match argument.kind {
            Kind::Scalar if argument.text == "index" => "i64",
            Kind::Scalar => &argument.text,
            Kind::Memref | Kind::Tensor => "!llvm.ptr",
        })
        .collect();
    let mut text =
        format!("llvm.func @{interface}({})\nllvm.func @{SYMBOL}(%args: !llvm.ptr) {{\n", types.join(", "));
    let mut values = Vec::new();
    for (index, argument) in signature.arguments.iter().enumerate() {
        text += &format!(
            "  %slot{index} = llvm.getelementptr %args[{index}] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr\n"
        );
        text += &format!("  %arg{index} = llvm.load %slot{index} : !llvm.ptr -> !llvm.ptr\n");
        if argument.kind == Kind::Scalar {
            text += &format!("  %value{index} = llvm.load %arg{index} : !llvm.ptr -> {}\n", types[index]);
            values.push(format!("%value{index}"));
        } else {
            values.push(format!("%arg{index}"));
        }
    }
    let values = values.join(", ");
    text + &format!("  llvm.call @{interface}({values}) : ({}) -> ()\n  llvm.return\n}}\n", types.join(", "))
}

//! `wrap-pointers`: the one C function that kinstr calls, `void __kinstr_entry(void **args)`, for an entry of C's
//! kind: pointers, then axis sizes.
//!
//! Put in after optimisation and never inlined, so that the entry stays what its compiler made of it. A call costs
//! a few loads more.

use super::{TransformError, wrap_entry::SYMBOL};
use crate::ffi;
use inkwell::{
    AddressSpace, GlobalVisibility,
    attributes::{Attribute, AttributeLoc},
    builder::BuilderError,
    context::ContextRef,
    module::{Linkage, Module},
    types::BasicTypeEnum,
    values::{BasicMetadataValueEnum, FunctionValue},
};

/// Finds the entry: the function called `wanted`, or else the only one that other files would see. A C++ name may be
/// given without its parameters' types.
///
/// # Errors
/// [`TransformError::Entry`] naming the functions there are.
pub fn find_entry<'l>(
    module: &Module<'l>,
    wanted: Option<&str>,
) -> Result<FunctionValue<'l>, TransformError> {
    let visible: Vec<FunctionValue<'l>> = module
        .get_functions()
        .filter(|function| function.count_basic_blocks() > 0 && function.get_linkage() == Linkage::External)
        .collect();
    let shown = |function: &FunctionValue<'_>| {
        let name = name_of(*function);
        ffi::function_name(&name).unwrap_or(name)
    };
    let names = visible.iter().map(shown).collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "none" } else { &names };
    let matching: Vec<FunctionValue<'l>> = match wanted {
        Some(wanted) => {
            visible.iter().copied().filter(|function| is_called(&name_of(*function), wanted)).collect()
        }
        None => visible.clone(),
    };
    match (matching.as_slice(), wanted) {
        ([one], _) => Ok(*one),
        ([], Some(wanted)) => Err(TransformError::Entry(format!(
            "no function `{wanted}` that other files would see; there is: {names}"
        ))),
        ([], None) => Err(TransformError::Entry("no function that other files would see".into())),
        (_, Some(wanted)) => Err(TransformError::Entry(format!("several functions `{wanted}` ({names})"))),
        (_, None) => Err(TransformError::Entry(format!(
            "several functions ({names}): name one with a line `kinstr: entry=NAME` in a comment"
        ))),
    }
}

fn name_of(function: FunctionValue<'_>) -> String {
    function.get_name().to_string_lossy().into_owned()
}

/// True if `symbol` is `name`, or `name` at file scope with parameters in the Itanium C++ ABI's mangling.
fn is_called(symbol: &str, name: &str) -> bool {
    symbol == name
        || symbol.strip_prefix(&format!("_Z{}{name}", name.len())).is_some_and(|rest| !rest.is_empty())
}

/// Adds the wrapper around `entry`, and hides every other symbol.
///
/// # Errors
/// [`TransformError`] if LLVM refuses the wrapper.
pub fn wrap_pointers<'l>(module: &Module<'l>, entry: FunctionValue<'l>) -> Result<(), TransformError> {
    let context = module.get_context();
    let pointer = context.ptr_type(AddressSpace::default());
    let wrapper = module.add_function(SYMBOL, context.void_type().fn_type(&[pointer.into()], false), None);
    for name in ["noinline", "nounwind"] {
        let attribute = context.create_enum_attribute(Attribute::get_named_enum_kind_id(name), 0);
        wrapper.add_attribute(AttributeLoc::Function, attribute);
    }
    call_with_loaded(&context, wrapper, entry)
        .map_err(|error| TransformError::Refused { what: "the entry wrapper", detail: error.to_string() })?;
    for function in module.get_functions() {
        let is_local = matches!(function.get_linkage(), Linkage::Internal | Linkage::Private);
        if function.count_basic_blocks() > 0 && !is_local && function != wrapper {
            function.as_global_value().set_visibility(GlobalVisibility::Hidden);
        }
    }
    Ok(())
}

/// Fills `wrapper`: `args[i]` points to the storage of what `entry` takes as parameter `i`.
fn call_with_loaded<'l>(
    context: &ContextRef<'l>,
    wrapper: FunctionValue<'l>,
    entry: FunctionValue<'l>,
) -> Result<(), BuilderError> {
    let pointer = context.ptr_type(AddressSpace::default());
    let types: Vec<BasicTypeEnum<'l>> =
        entry.get_params().into_iter().map(|parameter| parameter.get_type()).collect();
    let slots = context.struct_type(&vec![pointer.into(); types.len()], false);
    let builder = context.create_builder();
    builder.position_at_end(context.append_basic_block(wrapper, ""));
    let mut values: Vec<BasicMetadataValueEnum<'l>> = Vec::new();
    if let Some(arguments) = wrapper.get_first_param() {
        for (index, kind) in (0..).zip(types) {
            let slot = builder.build_struct_gep(slots, arguments.into_pointer_value(), index, "slot")?;
            let storage = builder.build_load(pointer, slot, "storage")?;
            values.push(builder.build_load(kind, storage.into_pointer_value(), "value")?.into());
        }
    }
    builder.build_call(entry, &values, "")?;
    builder.build_return(None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mangled_names_are_known() {
        assert!(is_called("softmax", "softmax"));
        assert!(is_called("_Z7softmaxPKfPfll", "softmax"));
        assert!(!is_called("_Z8softmax2v", "softmax"));
        assert!(!is_called("_ZN1a7softmaxEv", "softmax"));
    }

    #[test]
    fn the_wrapper_loads_what_the_entry_takes() {
        let context = inkwell::context::Context::create();
        let module = context.create_module("m");
        let pointer = context.ptr_type(inkwell::AddressSpace::default());
        let kind = context.void_type().fn_type(&[pointer.into(), context.i64_type().into()], false);
        let entry = module.add_function("f", kind, None);
        let builder = context.create_builder();
        builder.position_at_end(context.append_basic_block(entry, "entry"));
        builder.build_return(None).unwrap();
        assert_eq!(find_entry(&module, None).unwrap(), entry);
        wrap_pointers(&module, entry).unwrap();
        module.verify().unwrap();
        let text = module.print_to_string().to_string();
        assert!(text.contains("call void @f(ptr %value, i64 %value3)"), "{text}");
    }
}

//! `wrap-pointers`: the one C function that kinstr calls, `void __kinstr_entry(void **args)`, for an entry of C's
//! kind: pointers, then axis sizes.
//!
//! Put in after optimisation and never inlined, so that the entry stays what its compiler made of it. A call costs
//! a few loads more.

use super::{TransformError, wrap_entry::SYMBOL};
use inkwell::{
    GlobalVisibility,
    memory_buffer::MemoryBuffer,
    module::{Linkage, Module},
    types::BasicMetadataTypeEnum,
    values::FunctionValue,
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
    let names = visible.iter().map(|function| name_of(*function)).collect::<Vec<_>>().join(", ");
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
/// [`TransformError`] if the entry's types are not pointers and numbers, or LLVM refuses the wrapper.
pub fn wrap_pointers<'l>(module: &Module<'l>, entry: FunctionValue<'l>) -> Result<(), TransformError> {
    let refused = |detail: String| TransformError::Refused { what: "the entry wrapper", detail };
    let text = wrapper(&name_of(entry), &parameters(entry)?);
    let buffer = MemoryBuffer::create_from_memory_range_copy(text.as_bytes(), SYMBOL);
    let parsed =
        module.get_context().create_module_from_ir(buffer).map_err(|text| refused(text.to_string()))?;
    parsed.set_triple(&module.get_triple());
    parsed.set_data_layout(&module.get_data_layout());
    module.link_in_module(parsed).map_err(|text| refused(text.to_string()))?;
    for function in module.get_functions() {
        let is_local = matches!(function.get_linkage(), Linkage::Internal | Linkage::Private);
        if function.count_basic_blocks() > 0 && !is_local && name_of(function) != SYMBOL {
            function.as_global_value().set_visibility(GlobalVisibility::Hidden);
        }
    }
    Ok(())
}

/// The entry's types as LLVM prints them.
fn parameters(entry: FunctionValue<'_>) -> Result<Vec<String>, TransformError> {
    let one = |kind: BasicMetadataTypeEnum<'_>| match kind {
        BasicMetadataTypeEnum::PointerType(_) => Ok("ptr".to_owned()),
        BasicMetadataTypeEnum::IntType(kind) => Ok(format!("i{}", kind.get_bit_width())),
        BasicMetadataTypeEnum::FloatType(kind) => Ok(kind.print_to_string().to_string()),
        other => Err(TransformError::Entry(format!(
            "`{}` takes `{other}`, which is neither a pointer nor a number",
            name_of(entry)
        ))),
    };
    entry.get_type().get_param_types().into_iter().map(one).collect()
}

fn wrapper(entry: &str, types: &[String]) -> String {
    let list = types.join(", ");
    let mut text =
        format!("declare void @\"{entry}\"({list})\ndefine void @{SYMBOL}(ptr %args) noinline nounwind {{\n");
    let mut values = Vec::new();
    for (index, kind) in types.iter().enumerate() {
        text += &format!("  %slot{index} = getelementptr ptr, ptr %args, i64 {index}\n");
        text += &format!("  %storage{index} = load ptr, ptr %slot{index}\n");
        text += &format!("  %value{index} = load {kind}, ptr %storage{index}\n");
        values.push(format!("{kind} %value{index}"));
    }
    text + &format!("  call void @\"{entry}\"({})\n  ret void\n}}\n", values.join(", "))
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
        assert!(module.print_to_string().to_string().contains("call void @f(ptr %value0, i64 %value1)"));
    }
}

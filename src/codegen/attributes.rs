//! Function attributes that get lost on the way of code that probes are put into: MLIR has no place for some, and the
//! inliner drops those that the inlined function has not. One of them, the widest vector that has to be legal, decides
//! on registers: without it a matrix product compiled by clang for a core that prefers 256 bits took half the time.

use inkwell::{
    attributes::{Attribute, AttributeLoc},
    module::Module,
    values::FunctionValue,
};

/// Gives each function of `code` the string attributes that the one of its name in `original` has and it lacks.
pub(super) fn restore(original: &Module<'_>, code: &Module<'_>) {
    let context = code.get_context();
    for function in code.get_functions() {
        let name = function.get_name().to_string_lossy();
        let Some(before) = original.get_function(&name) else { continue };
        for (key, value) in strings(before) {
            if function.get_string_attribute(AttributeLoc::Function, &key).is_none() {
                let attribute = context.create_string_attribute(&key, &value);
                function.add_attribute(AttributeLoc::Function, attribute);
            }
        }
    }
}

fn strings(function: FunctionValue<'_>) -> Vec<(String, String)> {
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let pair =
        |attribute: Attribute| (text(attribute.get_string_kind_id()), text(attribute.get_string_value()));
    let all = function.attributes(AttributeLoc::Function).into_iter();
    all.filter(|attribute| attribute.is_string()).map(pair).collect()
}

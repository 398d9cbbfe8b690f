//! Vector math through glibc's `libmvec`.
//!
//! The loop vectoriser makes vector intrinsics of scalar ones; without a library, code generation turns each
//! back into one scalar call a lane. LLVM's own mapping (`-vector-library=LIBMVEC`) is not applied through the
//! C API and knows neither 16 lanes nor `tanh`, so that kinstr maps the intrinsics itself, after O3.

use super::machine::Machine;
use inkwell::{
    attributes::AttributeLoc,
    module::{Linkage, Module},
    values::FunctionValue,
};

/// Functions of one argument that glibc 2.35 and later have in every width.
const UNARY: [&str; 14] = [
    "exp", "exp2", "log", "log2", "log10", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos",
    "atan",
];

/// Vector types LLVM writes into intrinsic names: (suffix, lanes, libmvec's letter, feature, double).
const WIDTHS: [(&str, u32, char, &str, bool); 6] = [
    ("v4f32", 4, 'b', "sse4.2", false),
    ("v8f32", 8, 'd', "avx2", false),
    ("v16f32", 16, 'e', "avx512f", false),
    ("v2f64", 2, 'b', "sse4.2", true),
    ("v4f64", 4, 'd', "avx2", true),
    ("v8f64", 8, 'e', "avx512f", true),
];

/// Replaces vector math intrinsics by calls of libmvec where this CPU has the width. A wider vector keeps its
/// intrinsic, and so becomes scalar calls.
pub fn use_library<'l>(module: &Module<'l>, machine: &Machine) {
    for (suffix, lanes, letter, feature, double) in WIDTHS {
        if !machine.has_feature(feature) {
            continue;
        }
        for name in UNARY {
            replace(
                module,
                &format!("llvm.{name}.{suffix}"),
                &library_name(name, lanes, letter, "v", double),
            );
        }
        replace(module, &format!("llvm.pow.{suffix}"), &library_name("pow", lanes, letter, "vv", double));
    }
}

fn library_name(name: &str, lanes: u32, letter: char, arguments: &str, double: bool) -> String {
    let suffix = if double { "" } else { "f" };
    format!("_ZGV{letter}N{lanes}{arguments}_{name}{suffix}")
}

fn replace<'l>(module: &Module<'l>, intrinsic: &str, library: &str) {
    let Some(intrinsic) = module.get_function(intrinsic) else { return };
    let function = declare(module, library, intrinsic);
    intrinsic.replace_all_uses_with(function);
}

fn declare<'l>(module: &Module<'l>, name: &str, like: FunctionValue<'l>) -> FunctionValue<'l> {
    module
        .get_function(name)
        .unwrap_or_else(|| module.add_function(name, like.get_type(), Some(Linkage::External)))
}

/// `math.erf` has no LLVM intrinsic: it arrives as a pure call of `erff`. Tells the loop vectoriser which vector
/// functions stand behind it. A candidate's own declaration of `erff` is not pure, and stays a scalar call.
pub fn announce_erf<'l>(module: &Module<'l>, machine: &Machine) {
    let mut kept = Vec::new();
    for (name, double) in [("erff", false), ("erf", true)] {
        let Some(function) = module.get_function(name).filter(|function| is_pure(*function)) else {
            continue;
        };
        let context = module.get_context();
        let mut variants = Vec::new();
        for (_, lanes, letter, feature, _) in WIDTHS.iter().filter(|width| width.4 == double) {
            if !machine.has_feature(feature) {
                continue;
            }
            let library = library_name("erf", *lanes, *letter, "v", double);
            let element = if double { context.f64_type() } else { context.f32_type() };
            let vector = element.vec_type(*lanes);
            let declared = module.add_function(
                &library,
                vector.fn_type(&[vector.into()], false),
                Some(Linkage::External),
            );
            variants.push(format!("_ZGV_LLVM_N{lanes}v_{name}({library})"));
            kept.push(declared.as_global_value().as_pointer_value());
        }
        let attribute = context.create_string_attribute("vector-function-abi-variant", &variants.join(","));
        function.add_attribute(AttributeLoc::Function, attribute);
        for attribute in ["nounwind", "willreturn"] {
            let kind = inkwell::attributes::Attribute::get_named_enum_kind_id(attribute);
            function.add_attribute(AttributeLoc::Function, context.create_enum_attribute(kind, 0));
        }
    }
    if !kept.is_empty() {
        keep(module, &kept);
    }
}

/// Global DCE runs before the loop vectoriser and would drop the declarations nobody calls yet. LLVM allows one
/// such list a module; MLIR writes none.
fn keep<'l>(module: &Module<'l>, functions: &[inkwell::values::PointerValue<'l>]) {
    let pointer = module.get_context().ptr_type(inkwell::AddressSpace::default());
    let global = module.add_global(pointer.array_type(functions.len() as u32), None, "llvm.compiler.used");
    global.set_linkage(Linkage::Appending);
    global.set_section(Some("llvm.metadata"));
    global.set_initializer(&pointer.const_array(functions));
}

fn is_pure(function: FunctionValue<'_>) -> bool {
    let kind = inkwell::attributes::Attribute::get_named_enum_kind_id("memory");
    function.get_first_basic_block().is_none()
        && function.get_enum_attribute(AttributeLoc::Function, kind).is_some_and(|a| a.get_enum_value() == 0)
}

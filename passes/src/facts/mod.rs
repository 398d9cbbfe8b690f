//! Static facts of optimised LLVM-dialect code: what one execution of a block does, by source line.

mod access;
mod address;
mod passed;
mod pointer;
mod tensor;
pub(crate) mod types;

pub use access::{Access, DeviceAccess, access_of, device_access_of};
pub use address::AddressSources;
pub use passed::{Passed, forget_passed, say_passed};

use crate::ir::{name, operations, place_of};
use kinstr_trace::sites::{AccessFact, Buffer, CallFact, FlopFact, LineFacts, Place};
use melior::ir::{
    BlockRef, OperationRef, ValueLike,
    attribute::{FlatSymbolRefAttribute, IntegerAttribute},
    operation::OperationLike,
};
use pointer::PointerRoots;
use tensor::tensor_product;
use types::Shape;

/// Address space of shared memory on a GPU.
const SHARED: u32 = 3;

/// Collects the facts of one function's blocks.
pub struct FunctionFacts<'d> {
    defined: &'d [String],
    roots: PointerRoots<'d>,
}

impl<'d> FunctionFacts<'d> {
    /// `defined` are the symbols with a body in this module; `allocations` numbers allocation sites across
    /// its functions.
    pub fn new(defined: &'d [String], allocations: &'d mut u32) -> Self {
        Self { defined, roots: PointerRoots::new(allocations) }
    }

    /// One entry per source line, in order of first appearance.
    pub fn of_block(&mut self, block: BlockRef<'_, '_>) -> Vec<LineFacts> {
        let mut lines: Vec<LineFacts> = Vec::new();
        for operation in operations(block) {
            let name = name(operation);
            if is_free(&name) {
                continue;
            }
            let place = place_of(operation.location()).map(|place| Place { column: 0, ..place });
            let index = lines.iter().position(|line| line.place == place).unwrap_or_else(|| {
                lines.push(LineFacts { place, ..LineFacts::default() });
                lines.len() - 1
            });
            lines[index].instructions += 1;
            self.add(&mut lines[index], operation, &name);
        }
        lines
    }

    fn add(&mut self, line: &mut LineFacts, operation: OperationRef<'_, '_>, name: &str) {
        let short = name.strip_prefix("llvm.").unwrap_or(name);
        if let Some((flops_per_lane, slow)) = float_work(short).filter(|_| !tests_for_nan(operation, short)) {
            let shape = Shape::of_value(operation.operand(0).ok());
            if shape.is_float() {
                // A reduction of n lanes is n - 1 operations, and one more where it takes a start value.
                let flops = match short {
                    "intr.vector.reduce.fadd" | "intr.vector.reduce.fmul" => {
                        Shape::of_value(operation.operand(1).ok()).lanes
                    }
                    _ if short.starts_with("intr.vector.reduce") => shape.lanes.saturating_sub(1),
                    _ => shape.lanes * flops_per_lane,
                };
                let lanes = if short.starts_with("intr.vector.reduce.f") {
                    Shape::of_value(operation.operands().last()).lanes
                } else {
                    shape.lanes
                };
                let fused = matches!(short, "intr.fma" | "intr.fmuladd");
                add_flops(line, FlopFact { dtype: shape.element, lanes, flops, slow, fused, tensor: false });
            }
        } else if let Some(product) = tensor_product(operation) {
            add_flops(line, product);
        } else if is_integer_work(short) {
            line.int_ops += 1;
        } else if let Some(access) = self.access(operation) {
            line.memory.push(access);
        } else if matches!(short, "br" | "cond_br" | "switch" | "indirectbr" | "return" | "unreachable") {
            line.branches += 1;
        } else if let Some(call) = self.call(operation, short) {
            match line.calls.iter_mut().find(|c| c.callee == call.callee && c.lanes == call.lanes) {
                Some(known) => known.count += call.count,
                None => line.calls.push(call),
            }
        }
    }

    /// The access that `operation` is, if it is one.
    pub fn access(&mut self, operation: OperationRef<'_, '_>) -> Option<AccessFact> {
        Some(self.fact_of(operation, &access_of(operation)?))
    }

    /// What is known of `access`, which `operation` makes.
    pub fn fact_of(&mut self, operation: OperationRef<'_, '_>, access: &Access<'_, '_>) -> AccessFact {
        let buffer = match Shape::address_space(access.pointer) {
            Some(SHARED) => Buffer::Shared,
            _ => self.roots.of(access.pointer),
        };
        let nontemporal = operation.attribute("nontemporal").is_ok();
        let Access { kind, ref shape, indexed, .. } = *access;
        let (bytes, lanes) = (shape.bytes(), shape.lanes);
        AccessFact { buffer, kind, bytes, lanes, indexed, nontemporal, address: None }
    }

    /// Calls, and intrinsics that code generation turns into calls.
    fn call(&self, operation: OperationRef<'_, '_>, short: &str) -> Option<CallFact> {
        if short == "call" || short == "invoke" {
            let callee = operation
                .attribute("callee")
                .ok()
                .and_then(|attribute| FlatSymbolRefAttribute::try_from(attribute).ok());
            let Some(callee) = callee else {
                return Some(CallFact { callee: "<indirect>".into(), count: 1, lanes: 1, internal: false });
            };
            let callee = callee.value().to_owned();
            let internal = self.defined.contains(&callee);
            return Some(CallFact { lanes: vector_function_lanes(&callee), callee, count: 1, internal });
        }
        let function = math_function(short)?;
        let shape = Shape::of_type(operation.result(0).ok()?.r#type());
        let suffix = if shape.element == "f32" { "f" } else { "" };
        // A vector intrinsic that the vector library did not take is one scalar call a lane.
        Some(CallFact {
            callee: format!("{function}{suffix}"),
            count: shape.lanes,
            lanes: 1,
            internal: false,
        })
    }
}

fn add_flops(line: &mut LineFacts, fact: FlopFact) {
    let same = |known: &&mut FlopFact| {
        let kind = |fact: &FlopFact| (fact.lanes, fact.slow, fact.fused);
        known.dtype == fact.dtype && kind(known) == kind(&fact)
    };
    match line.flops.iter_mut().find(same) {
        Some(known) => known.flops += fact.flops,
        None => line.flops.push(fact),
    }
}

/// Ops that are no instruction: constants, debug information, lifetimes, assumptions.
fn is_free(name: &str) -> bool {
    const FREE: [&str; 9] = [
        "llvm.mlir.constant",
        "llvm.mlir.zero",
        "llvm.mlir.undef",
        "llvm.mlir.poison",
        "llvm.mlir.addressof",
        "llvm.intr.assume",
        "llvm.intr.experimental.noalias.scope.decl",
        "llvm.intr.sideeffect",
        "llvm.freeze",
    ];
    FREE.contains(&name)
        || name.starts_with("llvm.intr.dbg.")
        || name.starts_with("llvm.intr.lifetime.")
        || name.starts_with("llvm.intr.invariant.")
        || name.starts_with("kprobe.")
}

/// Floating-point operations per lane, and whether the instruction issues at a fraction of the FMA rate.
/// A minimum, maximum or comparison counts as one operation; a sign change, absolute value or test for NaN as none.
fn float_work(short: &str) -> Option<(u32, bool)> {
    Some(match short {
        "fadd" | "fsub" | "fmul" | "fcmp" => (1, false),
        "fdiv" | "frem" | "intr.sqrt" => (1, true),
        "intr.fma" | "intr.fmuladd" => (2, false),
        "intr.maxnum" | "intr.minnum" | "intr.maximum" | "intr.minimum" => (1, false),
        _ if short.starts_with("intr.vector.reduce.f") => (1, false),
        _ => return None,
    })
}

/// True for a comparison that only asks whether an operand is no number. Code generation adds as many as it needs to
/// make a minimum or maximum of x86's, which do not look for NaN; none of them counts as an operation, as they do not for
/// hardware counters either.
fn tests_for_nan(operation: OperationRef<'_, '_>, short: &str) -> bool {
    /// `ord` and `uno` among LLVM's predicates.
    const UNORDERED: [i64; 2] = [7, 14];
    let predicate = || IntegerAttribute::try_from(operation.attribute("predicate").ok()?).ok();
    short == "fcmp" && predicate().is_some_and(|predicate| UNORDERED.contains(&predicate.value()))
}

fn is_integer_work(short: &str) -> bool {
    const INTEGER: [&str; 24] = [
        "add",
        "sub",
        "mul",
        "udiv",
        "sdiv",
        "urem",
        "srem",
        "and",
        "or",
        "xor",
        "shl",
        "lshr",
        "ashr",
        "icmp",
        "trunc",
        "zext",
        "sext",
        "getelementptr",
        "intr.umin",
        "intr.umax",
        "intr.smin",
        "intr.smax",
        "intr.abs",
        "intr.ctpop",
    ];
    INTEGER.contains(&short)
}

/// libm function behind a math intrinsic that has no machine instruction.
fn math_function(short: &str) -> Option<&'static str> {
    Some(match short.strip_prefix("intr.")? {
        "exp" => "exp",
        "exp2" => "exp2",
        "exp10" => "exp10",
        "log" => "log",
        "log2" => "log2",
        "log10" => "log10",
        "sin" => "sin",
        "cos" => "cos",
        "tan" => "tan",
        "sinh" => "sinh",
        "cosh" => "cosh",
        "tanh" => "tanh",
        "asin" => "asin",
        "acos" => "acos",
        "atan" => "atan",
        "atan2" => "atan2",
        "pow" => "pow",
        "memcpy" => "memcpy",
        "memmove" => "memmove",
        "memset" => "memset",
        _ => return None,
    })
}

/// Lanes of a vector-ABI function such as `_ZGVeN16v_expf`; 1 for any other.
fn vector_function_lanes(callee: &str) -> u32 {
    let Some(rest) = callee.strip_prefix("_ZGV") else { return 1 };
    let digits: String = rest.chars().skip(2).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_functions_tell_their_lanes() {
        assert_eq!(vector_function_lanes("_ZGVeN16v_expf"), 16);
        assert_eq!(vector_function_lanes("_ZGVdN4vv_pow"), 4);
        assert_eq!(vector_function_lanes("expf"), 1);
    }

    #[test]
    fn an_fma_is_two_operations() {
        assert_eq!(float_work("intr.fma"), Some((2, false)));
        assert_eq!(float_work("fdiv"), Some((1, true)));
        assert_eq!(float_work("fneg"), None);
    }
}

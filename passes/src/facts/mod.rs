//! Static facts of optimised LLVM-dialect code: what one execution of a block does, by source line.

mod access;
mod address;
mod assembly;
mod copies;
mod nvidia;
mod other;
mod passed;
mod pointer;
mod tensor;
pub(crate) mod types;

pub use access::{Access, DeviceAccess, access_of, device_access_of};
pub use address::AddressSources;
pub use copies::{BlockCopy, Length, copy_of};
pub use other::moves_memory;
pub use passed::{Passed, forget_passed, say_passed};

use crate::ir::{callee, name, operations, place_of, symbol};
use access::Moved;
use kinstr_trace::sites::{AccessFact, Buffer, CallFact, FlopFact, LineFacts, Place};
use melior::ir::{BlockRef, OperationRef, ValueLike, attribute::IntegerAttribute, operation::OperationLike};
use other::{does_nothing, intrinsic_of, other_work};
use pointer::PointerRoots;
use std::collections::{BTreeMap, HashMap, HashSet};
use tensor::tensor_product;
use types::Shape;

/// Address space of shared memory on a GPU.
const SHARED: u32 = 3;

/// Collects the facts of a module's blocks.
pub struct ModuleFacts<'c, 'a> {
    /// Symbols with a body in the module.
    defined: HashSet<String>,
    roots: PointerRoots<'c, 'a>,
    /// Ops met of which nothing is known, and how many.
    unknown: BTreeMap<String, u32>,
}

impl<'c, 'a> ModuleFacts<'c, 'a> {
    /// `functions` are all that have a body in the module.
    pub fn of(functions: &[OperationRef<'c, 'a>]) -> Self {
        let defined = functions.iter().map(|function| symbol(*function)).collect();
        Self { defined, roots: PointerRoots::new(functions), unknown: BTreeMap::new() }
    }

    /// One entry per source line, in order of first appearance.
    pub fn of_block(&mut self, block: BlockRef<'c, 'a>) -> Vec<LineFacts> {
        let mut lines: Vec<LineFacts> = Vec::new();
        let mut known: HashMap<Option<Place>, usize> = HashMap::new();
        for operation in operations(block) {
            let name = name(operation);
            if is_free(&name) {
                continue;
            }
            let place = line_of(operation);
            let index = *known.entry(place.clone()).or_insert_with(|| {
                lines.push(LineFacts { place, ..LineFacts::default() });
                lines.len() - 1
            });
            lines[index].instructions += 1;
            self.add(&mut lines[index], operation, &name);
        }
        lines
    }

    /// The copies and fills of `block` whose length is known only when they run, each with what it does per byte.
    pub fn open_copies(&mut self, block: BlockRef<'c, 'a>) -> Vec<(BlockCopy<'c, 'a>, LineFacts)> {
        let copies = operations(block).filter_map(|operation| Some((operation, copy_of(operation)?)));
        let open = copies.filter(|(_, copy)| copy.length.is_open()).collect::<Vec<_>>();
        let facts = |(operation, copy): (OperationRef<'c, 'a>, BlockCopy<'c, 'a>)| {
            let memory = self.moves(&copy, 1);
            let facts = LineFacts { place: line_of(operation), memory, ..LineFacts::default() };
            (copy, facts)
        };
        open.into_iter().map(facts).collect()
    }

    /// What is not known of the blocks asked for since the last call, e.g. `3 ops (llvm.inline_asm)`.
    pub fn take_unknown(&mut self) -> Option<String> {
        let unknown = std::mem::take(&mut self.unknown);
        let count: u32 = unknown.values().sum();
        let names: Vec<String> = unknown.into_keys().collect();
        let ops = if count == 1 { "op" } else { "ops" };
        (count > 0).then(|| format!("{count} {ops} ({})", names.join(", ")))
    }

    fn add(&mut self, line: &mut LineFacts, operation: OperationRef<'c, 'a>, name: &str) {
        let short = name.strip_prefix("llvm.").unwrap_or(name);
        if let Some((flops_per_lane, slow)) = float_work(short).filter(|_| !tests_for_nan(operation, short)) {
            add_float_work(line, operation, short, flops_per_lane, slow);
        } else if let Some(product) = tensor_product(operation) {
            add_flops(line, product);
        } else if is_integer_work(short) {
            line.int_ops += 1;
        } else if let Some(access) = self.access(operation) {
            line.memory.push(access);
        } else if matches!(short, "br" | "cond_br" | "switch" | "indirectbr" | "return" | "unreachable") {
            line.branches += 1;
        } else if let Some(copy) = copy_of(operation) {
            match copy.length {
                Length::Bytes(bytes) => line.memory.extend(self.moves(&copy, bytes)),
                Length::Open(_) => add_call(line, copy.call()),
            }
        } else if let Some(call) = self.call(operation, short) {
            add_call(line, call);
        } else if let Some(work) = other_work(operation, short) {
            work.flops.into_iter().for_each(|fact| add_flops(line, fact));
            let fact = |moved: Moved<'c, 'a>| self.fact(moved, false);
            line.memory.extend(work.moves.into_iter().map(fact));
        } else if !does_nothing(short) {
            *self.unknown.entry(intrinsic_of(operation).unwrap_or_else(|| name.to_owned())).or_default() += 1;
        }
    }

    /// What a copy or fill of `bytes` reads and writes.
    fn moves(&mut self, copy: &BlockCopy<'c, 'a>, bytes: u32) -> Vec<AccessFact> {
        copy.moves(bytes).into_iter().map(|moved| self.fact(moved, false)).collect()
    }

    fn fact(&mut self, moved: Moved<'c, 'a>, nontemporal: bool) -> AccessFact {
        let Moved { kind, pointer, bytes, lanes, indexed } = moved;
        let buffer = match Shape::address_space(pointer) {
            Some(SHARED) => Buffer::Shared,
            _ => self.roots.of(pointer),
        };
        AccessFact { buffer, kind, bytes, lanes, indexed, nontemporal, address: None }
    }

    /// The access that `operation` is, if it is one.
    pub fn access(&mut self, operation: OperationRef<'c, 'a>) -> Option<AccessFact> {
        Some(self.fact_of(operation, &access_of(operation)?))
    }

    /// What is known of `access`, which `operation` makes.
    pub fn fact_of(&mut self, operation: OperationRef<'c, 'a>, access: &Access<'c, 'a>) -> AccessFact {
        let Access { kind, pointer, ref shape, indexed, .. } = *access;
        let (bytes, lanes) = (shape.bytes(), shape.lanes);
        let nontemporal = operation.attribute("nontemporal").is_ok();
        self.fact(Moved { kind, pointer, bytes, lanes, indexed }, nontemporal)
    }

    /// Calls, and intrinsics that code generation turns into calls.
    fn call(&self, operation: OperationRef<'_, '_>, short: &str) -> Option<CallFact> {
        if short == "call" || short == "invoke" {
            let Some(callee) = callee(operation) else {
                return Some(CallFact { callee: "<indirect>".into(), count: 1, lanes: 1, internal: false });
            };
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

/// The source line of an op; columns would tell parts of one line apart.
fn line_of(operation: OperationRef<'_, '_>) -> Option<Place> {
    place_of(operation.location()).map(|place| Place { column: 0, ..place })
}

fn add_float_work(
    line: &mut LineFacts,
    operation: OperationRef<'_, '_>,
    short: &str,
    flops_per_lane: u32,
    slow: bool,
) {
    let shape = Shape::of_value(operation.operand(0).ok());
    if !shape.is_float() {
        return;
    }
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

fn add_call(line: &mut LineFacts, call: CallFact) {
    match line.calls.iter_mut().find(|c| c.callee == call.callee && c.lanes == call.lanes) {
        Some(known) => known.count += call.count,
        None => line.calls.push(call),
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
    const FREE: [&str; 12] = [
        "llvm.mlir.constant",
        "llvm.mlir.zero",
        "llvm.mlir.undef",
        "llvm.mlir.poison",
        "llvm.mlir.addressof",
        "llvm.intr.assume",
        "llvm.intr.experimental.noalias.scope.decl",
        "llvm.intr.sideeffect",
        "llvm.freeze",
        // What is in a struct or known by another type is in registers all the same.
        "llvm.bitcast",
        "llvm.extractvalue",
        "llvm.insertvalue",
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

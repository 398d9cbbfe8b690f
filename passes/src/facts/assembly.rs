//! Inline PTX, as Triton and others write it: what one piece of it does. [`TABLE`] is the list of what is known.

use super::{
    access::{Access, DeviceAccess},
    types::Shape,
};
use crate::ir::{is, string_attribute};
use kinstr_trace::sites::AccessKind;
use melior::ir::{OperationRef, Value, ValueLike, operation::OperationLike};

/// What an instruction does, as far as is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Reads memory at an address.
    Load,
    /// Writes memory at an address.
    Store,
    /// Updates memory at an address at once.
    Update,
    /// Begins a copy from global to shared memory, of as many bytes as its third operand says.
    Copy,
    /// Multiplies matrices on tensor cores; what that is worth says `tensor.rs`.
    Product,
    /// Neither moves memory nor computes with numbers that count: waits, fences, hints, moves between registers.
    Nothing,
}

/// Instructions by the beginnings of their names; the longest that fits counts. What is not here is not known.
const TABLE: [(&str, Does); 41] = [
    ("ld.global", Does::Load),
    ("ld.shared", Does::Load),
    ("st.global", Does::Store),
    ("st.shared", Does::Store),
    ("atom.global", Does::Update),
    ("atom.shared", Does::Update),
    ("red.global", Does::Update),
    ("red.shared", Does::Update),
    ("cp.async.ca.shared.global", Does::Copy),
    ("cp.async.cg.shared.global", Does::Copy),
    ("wgmma.mma_async", Does::Product),
    ("mma.sync", Does::Product),
    ("wgmma.fence", Does::Nothing),
    ("wgmma.commit_group", Does::Nothing),
    ("wgmma.wait_group", Does::Nothing),
    ("cp.async.commit_group", Does::Nothing),
    ("cp.async.wait_group", Does::Nothing),
    ("cp.async.wait_all", Does::Nothing),
    ("cp.async.bulk.commit_group", Does::Nothing),
    ("cp.async.bulk.wait_group", Does::Nothing),
    ("mbarrier.", Does::Nothing),
    ("barrier.", Does::Nothing),
    ("bar.", Does::Nothing),
    ("fence.", Does::Nothing),
    ("membar.", Does::Nothing),
    ("griddepcontrol.", Does::Nothing),
    ("createpolicy.", Does::Nothing),
    ("prefetch", Does::Nothing),
    ("elect.sync", Does::Nothing),
    ("setmaxnreg.", Does::Nothing),
    ("shfl.sync", Does::Nothing),
    ("mov.", Does::Nothing),
    ("selp.", Does::Nothing),
    ("setp.", Does::Nothing),
    ("cvt.", Does::Nothing),
    ("prmt.", Does::Nothing),
    ("lop3.", Does::Nothing),
    ("nanosleep.", Does::Nothing),
    ("bra", Does::Nothing),
    (".reg", Does::Nothing),
    ("ret", Does::Nothing),
];

/// One instruction of a piece of assembly.
#[derive(Debug, PartialEq, Eq)]
struct Instruction<'t> {
    does: Does,
    /// Its name with its modifiers, `ld.global.v4.b32`.
    name: &'t str,
    /// Number of the operand that says whether it is done, as in `@$4`.
    predicate: Option<usize>,
    /// What stands behind the name.
    rest: &'t str,
}

/// The piece of assembly that `operation` is, understood whole.
pub(super) struct Assembly {
    text: String,
    /// Operands that are results come first in its numbering.
    results: usize,
}

impl Assembly {
    /// The assembly of an `llvm.inline_asm`.
    pub(super) fn of(operation: OperationRef<'_, '_>) -> Option<Self> {
        if !is(operation, "llvm.inline_asm") {
            return None;
        }
        let constraints = string_attribute(operation, "constraints")?;
        let results = constraints.split(',').filter(|constraint| constraint.starts_with('=')).count();
        Some(Self { text: without_comments(&string_attribute(operation, "asm_string")?), results })
    }

    /// Its instructions that do something, if all of it is known.
    fn instructions(&self) -> Option<Vec<Instruction<'_>>> {
        let all = statements(&self.text).map(instruction).collect::<Option<Vec<_>>>()?;
        Some(all.into_iter().filter(|instruction| instruction.does != Does::Nothing).collect())
    }

    /// True if all of it is known, and none of it counts.
    pub(super) fn does_nothing(&self) -> bool {
        self.instructions().is_some_and(|instructions| instructions.is_empty())
    }

    /// The one instruction that counts, if there is just one.
    fn only(&self) -> Option<Instruction<'_>> {
        let mut instructions = self.instructions()?;
        if instructions.len() == 1 { instructions.pop() } else { None }
    }

    /// The load or store that it is.
    pub(super) fn access<'c, 'a>(&self, operation: OperationRef<'c, 'a>) -> Option<Access<'c, 'a>> {
        let instruction = self.only()?;
        let kind = match instruction.does {
            Does::Load => AccessKind::Load,
            Does::Store => AccessKind::Store,
            _ => return None,
        };
        self.at(operation, kind, &instruction, shape(instruction.name)?, 0)
    }

    /// The atomic update, or the reading half of the copy, that it is.
    pub(super) fn device_access<'c, 'a>(
        &self,
        operation: OperationRef<'c, 'a>,
    ) -> Option<(Access<'c, 'a>, DeviceAccess)> {
        let instruction = self.only()?;
        match instruction.does {
            Does::Update => {
                let access =
                    self.at(operation, AccessKind::Store, &instruction, shape(instruction.name)?, 0)?;
                Some((access, DeviceAccess::Atomic))
            }
            Does::Copy => {
                let shape = Shape { lanes: copied_bytes(&instruction)?, element: "i8".to_owned() };
                let access = self.at(operation, AccessKind::Load, &instruction, shape, 1)?;
                Some((access, DeviceAccess::Copy))
            }
            _ => None,
        }
    }

    /// Where a copy goes to, where it comes from, and its bytes.
    pub(super) fn copy<'c, 'a>(
        &self,
        operation: OperationRef<'c, 'a>,
    ) -> Option<(Value<'c, 'a>, Value<'c, 'a>, u32)> {
        let instruction = self.only().filter(|instruction| instruction.does == Does::Copy)?;
        let [to, from] = [0, 1].map(|index| self.pointer(operation, &instruction, index));
        Some((to?, from?, copied_bytes(&instruction)?))
    }

    /// What `instruction` does at its address number `index`.
    fn at<'c, 'a>(
        &self,
        operation: OperationRef<'c, 'a>,
        kind: AccessKind,
        instruction: &Instruction<'_>,
        shape: Shape,
        index: usize,
    ) -> Option<Access<'c, 'a>> {
        let pointer = self.pointer(operation, instruction, index)?;
        let mask = match instruction.predicate {
            Some(number) => Some(self.value(operation, number)?),
            None => None,
        };
        Some(Access { kind, pointer, mask, shape, indexed: false })
    }

    /// The address number `index` of `instruction`. Assembly may take one as a number, of which nobody knows what memory it is
    /// in: that is none.
    fn pointer<'c, 'a>(
        &self,
        operation: OperationRef<'c, 'a>,
        instruction: &Instruction<'_>,
        index: usize,
    ) -> Option<Value<'c, 'a>> {
        let pointer = self.value(operation, address(nth_address(instruction.rest, index)?)?)?;
        pointer.r#type().to_string().starts_with("!llvm.ptr").then_some(pointer)
    }

    /// The operand that the assembly calls `$number`.
    fn value<'c, 'a>(&self, operation: OperationRef<'c, 'a>, number: usize) -> Option<Value<'c, 'a>> {
        operation.operand(number.checked_sub(self.results)?).ok()
    }
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Its statements: what ends with a semicolon, without the braces of scopes and without labels.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    let statements = text.split(';').map(|statement| {
        let statement = statement.trim_start_matches(|c: char| c.is_whitespace() || c == '{').trim_end();
        let statement = statement.strip_prefix('}').unwrap_or(statement).trim_start();
        match statement.split_once(':') {
            Some((label, rest)) if is_word(label) && !rest.starts_with(':') => rest.trim_start(),
            _ => statement,
        }
    });
    statements.filter(|statement| !statement.is_empty())
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '%'))
}

fn instruction(statement: &str) -> Option<Instruction<'_>> {
    let (predicate, statement) = match statement.strip_prefix('@') {
        Some(predicated) => {
            let (predicate, rest) = predicated.split_once(char::is_whitespace)?;
            (predicate.strip_prefix('$').and_then(|number| number.parse().ok()), rest.trim_start())
        }
        None => (None, statement),
    };
    let (name, rest) = statement.split_once(char::is_whitespace).unwrap_or((statement, ""));
    let fits = TABLE.iter().filter(|(known, _)| name.starts_with(known));
    let (_, does) = fits.max_by_key(|(known, _)| known.len())?;
    Some(Instruction { does: *does, name, predicate, rest })
}

/// What stands in its brackets number `index`.
fn nth_address(rest: &str, index: usize) -> Option<&str> {
    rest.split('[').nth(index + 1)?.split_once(']').map(|(inside, _)| inside)
}

/// Number of the operand in `$8 + 0`. What lies a constant further is not followed.
fn address(text: &str) -> Option<usize> {
    let (operand, offset) = text.split_once('+').unwrap_or((text, "0"));
    if offset.trim() != "0" {
        return None;
    }
    operand.trim().strip_prefix('$')?.parse().ok()
}

/// `v4` and `b32` among the modifiers.
fn shape(name: &str) -> Option<Shape> {
    let lanes = name.split('.').find_map(|part| part.strip_prefix('v')?.parse().ok()).unwrap_or(1);
    let element = name.split('.').next_back()?;
    let bits = element.trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim_end_matches("x2");
    let bits: u32 = bits.parse().ok()?;
    // What no instruction has is no number to reckon with.
    if lanes > 8 || bits > 128 {
        return None;
    }
    let lanes: u32 = if element.ends_with("x2") { lanes * 2 } else { lanes };
    // What is added up atomically is a number, of a load only its size is known.
    let prefix = if element.starts_with(['f']) { "f" } else { "i" };
    Some(Shape { lanes, element: format!("{prefix}{bits}") })
}

/// Bytes of `[ $0 + 0 ], [ $1 + 0 ], 0x10, $2`.
fn copied_bytes(instruction: &Instruction<'_>) -> Option<u32> {
    let text = instruction.rest.split(',').nth(2)?.trim();
    let bytes = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    bytes.filter(|bytes| [4, 8, 16].contains(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> Option<Vec<Does>> {
        let assembly = Assembly { text: without_comments(text), results: 0 };
        let instructions = assembly.instructions()?;
        Some(instructions.iter().map(|instruction| instruction.does).collect())
    }

    #[test]
    fn a_masked_load_of_tritons_is_one_load() {
        let text = "mov.u32 $0, 0x0;\n\tmov.u32 $1, 0x0;\n\t@$5 ld.global.L1::evict_last.v2.b32 { $0, $1 }, [ $4 + 0 ];";
        assert_eq!(known(text), Some(vec![Does::Load]));
        let assembly = Assembly { text: text.to_owned(), results: 2 };
        let load = assembly.only().unwrap();
        assert_eq!(load.predicate, Some(5));
        assert_eq!(nth_address(load.rest, 0).and_then(address), Some(4));
        assert_eq!(shape(load.name), Some(Shape { lanes: 2, element: "i32".into() }));
        assert_eq!(address(" $4 + 16 "), None);
    }

    #[test]
    fn copies_waits_and_products_are_told_apart() {
        let copy = "cp.async.cg.shared.global [ $0 + 0 ], [ $1 + 0 ], 0x10, $2;";
        assert_eq!(known(copy), Some(vec![Does::Copy]));
        assert_eq!(instruction(copy.trim_end_matches(';')).as_ref().and_then(copied_bytes), Some(16));
        assert_eq!(
            known("// wait for regs: $0,$1\n\twgmma.wait_group.sync.aligned 0;").unwrap(),
            Vec::<Does>::new()
        );
        let products = "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {$0,$1}, $2, $3, 0, 1, 1, 0, 0;";
        assert_eq!(known(products), Some(vec![Does::Product]));
        let wait = "{\n\t.reg .pred complete;\n\twaitLoop:\n\tmbarrier.try_wait.parity.shared.b64 complete, [$0], $1;\n\t\
                    @!complete bra.uni waitLoop;\n}";
        assert_eq!(known(wait), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_in_the_table_is_not_known() {
        assert_eq!(known("tanh.approx.f32 $0, $1;"), None);
        assert_eq!(known("fence.proxy.async.shared::cta;"), Some(Vec::new()));
        assert_eq!(known(""), Some(Vec::new()));
        assert_eq!(shape("ld.global.v4294967295.b32x2"), None);
        let endless =
            instruction("cp.async.cg.shared.global [ $0 + 0 ], [ $1 + 0 ], 0xffffffff, $2").unwrap();
        assert_eq!(copied_bytes(&endless), None);
    }

    #[test]
    fn packed_updates_have_two_elements() {
        let update = instruction("@$3 red.global.gpu.acq_rel.add.noftz.f16x2 [ $1 + 0 ], $2").unwrap();
        assert_eq!(update.does, Does::Update);
        assert_eq!(shape(update.name), Some(Shape { lanes: 2, element: "f16".into() }));
    }
}

//! A `linalg.generic` on memrefs, read.

use crate::ir::{blocks, body, is, name, operations};
use melior::ir::{
    Attribute, BlockLike, BlockRef, OperationRef, Value, ValueLike,
    attribute::{ArrayAttribute, DenseI32ArrayAttribute},
    operation::{OperationLike, OperationResult},
};

/// The op and what its kernel depends on.
pub(super) struct Generic<'c, 'a> {
    /// It.
    pub op: OperationRef<'c, 'a>,
    /// True for a parallel loop, false for a reduction, outermost first.
    pub parallel: Vec<bool>,
    /// Inputs, then outputs.
    pub operands: Vec<Operand<'c, 'a>>,
    /// How many are inputs.
    pub inputs: usize,
    /// What is computed for one point.
    pub block: BlockRef<'c, 'a>,
}

/// One of the op's operands.
pub(super) struct Operand<'c, 'a> {
    /// It.
    pub value: Value<'c, 'a>,
    /// Its type.
    pub ty: String,
    /// Type of an element.
    pub element: String,
    /// The loop that each of its dimensions follows.
    pub map: Vec<usize>,
    /// A memref, and no scalar.
    pub is_memref: bool,
    /// Row-major without gaps.
    pub is_dense: bool,
    /// The op reads it.
    pub is_read: bool,
    /// What the op itself takes, if `ty` is a view of it.
    pub view_of: Option<View>,
}

/// A tensor of which dimensions were made one.
pub(super) struct View {
    /// Its own type.
    pub ty: String,
    /// Which they are, as `memref.collapse_shape` takes them.
    pub groups: String,
}

/// How neighbours in one loop see an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// All see the same element.
    Same,
    /// Neighbouring elements, which may be read together.
    Wide,
    /// Neighbouring elements, one by one.
    Single,
    /// Elements far apart.
    Apart,
}

impl<'c, 'a> Generic<'c, 'a> {
    /// Nothing for an op whose maps are more than a choice of loops, which is not on memrefs, or whose body has regions.
    pub fn read(op: OperationRef<'c, 'a>) -> Option<Self> {
        let block = body(op).and_then(|region| blocks(region).next())?;
        let is_flat = operations(block).all(|op| op.region_count() == 0);
        let segments = DenseI32ArrayAttribute::try_from(op.attribute("operandSegmentSizes").ok()?).ok()?;
        let inputs = usize::try_from(segments.element(0).ok()?).ok()?;
        let parallel = elements(op.attribute("iterator_types").ok()?)?
            .iter()
            .map(|kind| kind.to_string().contains("parallel"))
            .collect();
        let maps = elements(op.attribute("indexing_maps").ok()?)?;
        let operands = op.operands().zip(maps).enumerate().map(|(index, (value, map))| {
            let is_read = block.argument(index).is_ok_and(|argument| is_used(block, argument.into()));
            Operand::read(value, &map.to_string(), is_read)
        });
        let operands = operands.collect::<Option<Vec<_>>>()?;
        (op.result_count() == 0 && is_flat)
            .then_some(Self { op, parallel, operands, inputs, block }.collapsed())
    }

    /// One loop in the place of all, where these are of one kind and every tensor is dense and follows them in order.
    fn collapsed(mut self) -> Self {
        let loops = self.parallel.len();
        let in_order =
            |operand: &Operand<'_, '_>| operand.is_dense && operand.map.iter().copied().eq(0..loops);
        let fits = loops > 1
            && self.parallel.iter().all(|parallel| *parallel == self.parallel[0])
            && self.operands.iter().all(|operand| operand.map.is_empty() || in_order(operand))
            && !operations(self.block).any(|op| is(op, "linalg.index"));
        if fits {
            self.parallel.truncate(1);
            self.operands.iter_mut().filter(|operand| !operand.map.is_empty()).for_each(Operand::collapse);
        }
        self
    }

    /// Where it stands how often `loop_` runs: operand and dimension; nothing if no tensor follows it.
    pub fn extent(&self, loop_: usize) -> Option<(usize, usize)> {
        let place = |operand: &Operand<'_, '_>| operand.map.iter().position(|own| *own == loop_);
        self.operands.iter().enumerate().find_map(|(index, operand)| {
            if operand.is_memref { Some((index, place(operand)?)) } else { None }
        })
    }

    /// The only output.
    pub fn output(&self) -> Option<&Operand<'c, 'a>> {
        let [output] = &self.operands[self.inputs..] else { return None };
        output.is_memref.then_some(output)
    }

    /// What a point yields, an output each.
    pub fn yielded(&self) -> Vec<Value<'c, 'a>> {
        self.block.terminator().map(|last| last.operands().collect()).unwrap_or_default()
    }

    /// Whether the body computes and does nothing else, so that it may run for points that there are not.
    pub fn is_pure(&self) -> bool {
        const PURE: [&str; 4] = ["arith.", "math.", "complex.", "linalg.index"];
        self.body().iter().all(|op| PURE.iter().any(|own| name(*op).starts_with(own)))
    }

    /// Ops of the body but its terminator.
    pub fn body(&self) -> Vec<OperationRef<'c, 'a>> {
        operations(self.block).filter(|op| op.next_in_block().is_some()).collect()
    }
}

impl<'c, 'a> Operand<'c, 'a> {
    fn read(value: Value<'c, 'a>, map: &str, is_read: bool) -> Option<Self> {
        let ty = value.r#type().to_string();
        let inner = ty.strip_prefix("memref<").and_then(|rest| rest.strip_suffix('>'));
        let element = match inner {
            None => ty.clone(),
            // `4x?xf32`, or that with a layout or memory space behind it.
            Some(inner) => element_of(inner.split(',').next()?).to_owned(),
        };
        let is_plain = inner.is_none_or(|inner| {
            is_number(&element) && inner.split_once(',').is_none_or(|(_, rest)| is_layout(rest))
        });
        let is_dense = inner.is_some_and(|inner| !inner.contains(','));
        let map = loops_of(map)?;
        let is_memref = inner.is_some();
        is_plain.then_some(Self { value, ty, element, map, is_memref, is_dense, is_read, view_of: None })
    }

    fn collapse(&mut self) {
        let length = self.extents().into_iter().try_fold(1, |all: u64, extent| all.checked_mul(extent?));
        let length = length.map_or("?".to_owned(), |length| length.to_string());
        let dimensions: Vec<String> = self.map.iter().map(usize::to_string).collect();
        let whole = std::mem::replace(&mut self.ty, format!("memref<{length}x{}>", self.element));
        self.view_of = Some(View { ty: whole, groups: format!("[[{}]]", dimensions.join(", ")) });
        self.map = vec![0];
    }

    /// Its extents, of which some are known when it is launched.
    pub fn extents(&self) -> Vec<Option<u64>> {
        let shape = self
            .ty
            .strip_prefix("memref<")
            .and_then(|rest| rest.split([',', '>']).next())
            .unwrap_or_default();
        let dimensions = shape.split('x').take(self.map.len());
        dimensions.map(|extent| extent.parse().ok()).collect()
    }

    /// How neighbours in `loop_` see it.
    pub fn reach(&self, loop_: usize) -> Reach {
        let Some((last, outer)) = self.map.split_last() else { return Reach::Same };
        match (*last == loop_, outer.contains(&loop_)) {
            (false, false) => Reach::Same,
            (true, false) if self.is_dense && bytes_of(&self.element).is_some() => Reach::Wide,
            (true, false) if self.is_dense || self.ty.contains(", 1]") || self.ty.contains("strided<[1]") => {
                Reach::Single
            }
            _ => Reach::Apart,
        }
    }
}

/// What is left of `4x?xf32` without its extents.
fn element_of(mut shaped: &str) -> &str {
    while let Some((extent, rest)) = shaped.split_once('x')
        && (extent == "?" || (!extent.is_empty() && extent.bytes().all(|digit| digit.is_ascii_digit())))
    {
        shaped = rest;
    }
    shaped
}

/// Whether it is the type of a plain number, which needs no more than its name.
fn is_number(element: &str) -> bool {
    element.starts_with(['i', 'f', 'b']) && element.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether what follows a memref's element is strides and nothing else.
fn is_layout(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.starts_with("strided<") && rest.find('>') == Some(rest.len() - 1)
}

/// Bytes of a type that has a power of two of them and that vectors in memory are made of.
pub(super) fn bytes_of(element: &str) -> Option<usize> {
    match element {
        "i8" => Some(1),
        "f16" | "bf16" | "i16" => Some(2),
        "f32" | "i32" => Some(4),
        "f64" | "i64" => Some(8),
        _ => None,
    }
}

fn elements(attribute: Attribute<'_>) -> Option<Vec<Attribute<'_>>> {
    let array = ArrayAttribute::try_from(attribute).ok()?;
    (0..array.len()).map(|index| array.element(index).ok()).collect()
}

/// `affine_map<(d0, d1) -> (d1, d0)>` to the loops it answers; nothing if it computes.
fn loops_of(map: &str) -> Option<Vec<usize>> {
    let results = map.rsplit_once("-> (")?.1.strip_suffix(")>")?;
    let results = results.split(',').map(str::trim).filter(|result| !result.is_empty());
    results.map(|result| result.strip_prefix('d')?.parse().ok()).collect()
}

/// True if any op in `block` has `value` as its operand.
pub(super) fn is_used(block: BlockRef<'_, '_>, value: Value<'_, '_>) -> bool {
    uses(block, value) > 0
}

/// How often ops in `block` have `value` as an operand.
pub(super) fn uses(block: BlockRef<'_, '_>, value: Value<'_, '_>) -> usize {
    let count = |op: OperationRef<'_, '_>| op.operands().filter(|operand| is_same(*operand, value)).count();
    operations(block).map(count).sum()
}

/// True if both are the same value.
pub(super) fn is_same(one: Value<'_, '_>, other: Value<'_, '_>) -> bool {
    one.to_raw().ptr == other.to_raw().ptr
}

/// The op that computes `value`.
pub(super) fn defining<'c, 'a>(value: Value<'c, 'a>) -> Option<OperationRef<'c, 'a>> {
    if !value.is_operation_result() {
        return None;
    }
    // The result borrows nothing that ends before 'a.
    OperationResult::try_from(value).ok().map(|result| result.owner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_choose_loops_are_read_and_others_are_not() {
        assert_eq!(loops_of("affine_map<(d0, d1) -> (d1, d0)>"), Some(vec![1, 0]));
        assert_eq!(loops_of("affine_map<(d0, d1) -> ()>"), Some(vec![]));
        assert_eq!(loops_of("affine_map<(d0, d1) -> (d0 + d1)>"), None);
        assert_eq!(loops_of("affine_map<(d0) -> (0)>"), None);
    }

    #[test]
    fn elements_are_what_follows_the_extents() {
        assert_eq!(element_of("4x?xf32"), "f32");
        assert_eq!(element_of("8xindex"), "index");
        assert_eq!(element_of("index"), "index");
        assert_eq!(element_of("2xcomplex<f32>"), "complex<f32>");
        assert!(is_number("bf16") && is_number("index") && !is_number("complex<f32>") && !is_number(""));
        assert!(is_layout(" strided<[4, 1], offset: ?>"));
        assert!(!is_layout(" strided<[4, 1]>, 3") && !is_layout(" #gpu.address_space<workgroup>"));
    }
}

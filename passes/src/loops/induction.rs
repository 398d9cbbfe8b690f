//! How a loop's trips follow from a variable of its own.

use crate::ir::{constant_of, is, is_same_block, operations};
use melior::ir::{
    BlockLike, BlockRef, OperationRef, Value, ValueLike,
    attribute::IntegerAttribute,
    block::BlockArgument,
    operation::{OperationLike, OperationResult},
    r#type::IntegerType,
};

/// A variable that every trip moves by `step`: trips are `(last - first) / step`, rounded up.
pub struct Induction<'c, 'a> {
    /// Its value when the loop is entered.
    pub first: Value<'c, 'a>,
    /// Its value after the last trip, known in the exit block; or a bound that it does not pass by a whole step.
    pub last: Value<'c, 'a>,
    /// What a trip adds; not 0.
    pub step: i64,
    /// True if `last` is a bound that is known in the preheader already.
    pub known_at_entry: bool,
}

/// Where a loop of one latch, which is also its only way out, is entered and left.
pub(super) struct Edges<'c, 'a> {
    pub preheader: BlockRef<'c, 'a>,
    pub header: BlockRef<'c, 'a>,
    pub latch: BlockRef<'c, 'a>,
    /// Edges, from and to, that are passed before the loop is entered.
    pub guards: Vec<(BlockRef<'c, 'a>, BlockRef<'c, 'a>)>,
}

/// What a branch says of two values where it is passed.
#[derive(Clone, Copy)]
struct Relation<'c, 'a> {
    left: Value<'c, 'a>,
    is: Order,
    right: Value<'c, 'a>,
    signed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Unequal,
    Less,
    LessOrEqual,
}

/// An argument of the header that the latch passes on with a constant added. The one whose bound is known before the
/// loop comes first: where no use of the variable is added, the loop's code stays what it is.
pub(super) fn of<'c, 'a>(
    edges: &Edges<'c, 'a>,
    is_inside: &dyn Fn(BlockRef<'c, '_>) -> bool,
) -> Option<Induction<'c, 'a>> {
    let Edges { preheader, header, latch, .. } = edges;
    let variables = (0..header.argument_count()).filter_map(|index| {
        let argument: Value<'c, 'a> = header.argument(index).ok()?.into();
        let width = IntegerType::try_from(argument.r#type()).ok()?.width();
        // The distance must fit 64 bits.
        let last = passed(*latch, *header, index).filter(|_| width <= 64)?;
        let step = step(argument, last).filter(|step| *step != 0)?;
        let first = passed(*preheader, *header, index)?;
        let bound = bound(edges, first, last, step);
        if bound.is_some_and(|bound| goes_all_the_way_round(first, bound)) {
            return None;
        }
        let bound = bound.filter(|bound| !moves(*bound, is_inside));
        Some(Induction { first, last: bound.unwrap_or(last), step, known_at_entry: bound.is_some() })
    });
    // The first of those that are most.
    variables.rev().max_by_key(|variable| variable.known_at_entry)
}

/// True if the variable ends where it began: its trips are as many as its type has values, which no difference tells.
fn goes_all_the_way_round(first: Value<'_, '_>, bound: Value<'_, '_>) -> bool {
    first == bound || constant_of(first).is_some_and(|first| constant_of(bound) == Some(first))
}

/// What the latch compares `last` with: the loop is left as soon as they are equal, or as soon as `last` is no longer on
/// its side of the bound, on which `first` is known to be.
fn bound<'c, 'a>(
    edges: &Edges<'c, 'a>,
    first: Value<'c, 'a>,
    last: Value<'c, 'a>,
    step: i64,
) -> Option<Value<'c, 'a>> {
    let goes_on = relation(edges.latch, edges.header)?;
    let Relation { left, right, .. } = goes_on;
    match goes_on.is {
        Order::Unequal if left == last => Some(right),
        Order::Unequal if right == last => Some(left),
        Order::Less if left == last && step > 0 && edges.proves_less(first, right, goes_on.signed) => {
            Some(right)
        }
        Order::Less if right == last && step < 0 && edges.proves_less(left, first, goes_on.signed) => {
            Some(left)
        }
        _ => None,
    }
}

impl<'c, 'a> Edges<'c, 'a> {
    /// Whether a guard says that `small` is less than `large`. Else the loop may make its first trip all the same.
    fn proves_less(&self, small: Value<'c, 'a>, large: Value<'c, 'a>, signed: bool) -> bool {
        let said = self.guards.iter().filter_map(|(from, to)| relation(*from, *to));
        said.filter(|said| said.signed == signed).any(|said| match said.is {
            Order::Less => is_equal(said.left, small) && is_equal(said.right, large),
            // LLVM writes `0 < n` as `1 <= n` at times.
            Order::LessOrEqual => {
                let above = is_equal(said.right, large) && differ_by_one(said.left, small);
                above || is_equal(said.left, small) && differ_by_one(large, said.right)
            }
            Order::Unequal => false,
        })
    }
}

fn is_equal(one: Value<'_, '_>, other: Value<'_, '_>) -> bool {
    one == other || constant_of(one).is_some_and(|one| constant_of(other) == Some(one))
}

/// Whether two constants are a number and its successor.
fn differ_by_one(larger: Value<'_, '_>, smaller: Value<'_, '_>) -> bool {
    let successor = constant_of(smaller).and_then(|smaller| smaller.checked_add(1));
    successor.is_some() && constant_of(larger) == successor
}

/// What is known where the conditional branch at the end of `from` goes to `to`.
fn relation<'c, 'a>(from: BlockRef<'c, 'a>, to: BlockRef<'c, 'a>) -> Option<Relation<'c, 'a>> {
    let branch: OperationRef<'c, 'a> = operations(from).last().filter(|op| is(*op, "llvm.cond_br"))?;
    let condition = branch.operand(0).ok().filter(Value::is_operation_result)?;
    let compare = OperationResult::try_from(condition).ok()?.owner();
    if !is(compare, "llvm.icmp") {
        return None;
    }
    let [left, right] = [compare.operand(0).ok()?, compare.operand(1).ok()?];
    let [holds, fails] = [branch.successor(0).ok()?, branch.successor(1).ok()?];
    let is_true = match (is_same_block(holds, to), is_same_block(fails, to)) {
        (true, false) => true,
        (false, true) => false,
        _ => return None,
    };
    let predicate = IntegerAttribute::try_from(compare.attribute("predicate").ok()?).ok()?.value();
    // LLVM's predicates: eq, ne, then slt, sle, sgt, sge, then the same unsigned.
    let signed = predicate < 6;
    let (is, swapped) = match (predicate, is_true) {
        (0, false) | (1, true) => (Order::Unequal, false),
        (2 | 6, true) | (5 | 9, false) => (Order::Less, false),
        (3 | 7, true) | (4 | 8, false) => (Order::LessOrEqual, false),
        (4 | 8, true) | (3 | 7, false) => (Order::Less, true),
        (5 | 9, true) | (2 | 6, false) => (Order::LessOrEqual, true),
        _ => return None,
    };
    let (left, right) = if swapped { (right, left) } else { (left, right) };
    Some(Relation { left, is, right, signed })
}

/// True unless `value` is known before the loop.
fn moves<'c>(value: Value<'c, '_>, is_inside: &dyn Fn(BlockRef<'c, '_>) -> bool) -> bool {
    if value.is_operation_result() {
        let block = OperationResult::try_from(value).ok().and_then(|result| result.owner().block());
        return block.is_none_or(is_inside);
    }
    BlockArgument::try_from(value).map_or(true, |argument| is_inside(argument.owner()))
}

/// What `last` adds to `argument`, if that is a constant.
fn step(argument: Value<'_, '_>, last: Value<'_, '_>) -> Option<i64> {
    let add = OperationResult::try_from(last).ok()?.owner();
    if !is(add, "llvm.add") || add.operand(0).ok()? != argument {
        return None;
    }
    constant_of(add.operand(1).ok()?)
}

/// The value `from` passes to argument `index` of `to`, if it can be told from a branch with one edge to it.
fn passed<'c, 'a>(from: BlockRef<'c, 'a>, to: BlockRef<'c, 'a>, index: usize) -> Option<Value<'c, 'a>> {
    let terminator: OperationRef<'c, 'a> = operations(from).last()?;
    let arguments = to.argument_count();
    let successors: Vec<_> = (0..from.successor_count()).filter_map(|n| from.successor(n).ok()).collect();
    let is_to = |block: &BlockRef<'c, '_>| is_same_block(*block, to);
    match &successors[..] {
        [only] if is(terminator, "llvm.br") && is_to(only) => terminator.operand(index).ok(),
        [first, second] if is(terminator, "llvm.cond_br") && is_to(first) != is_to(second) => {
            // Operands: the condition, those of the first successor, those of the second.
            let start = if is_to(first) { 1 } else { terminator.operand_count() - arguments };
            terminator.operand(start + index).ok()
        }
        _ => None,
    }
}

//! Loops as a probe needs them: where each is entered and left, what is around it, and how its trips can be told.

use crate::{
    cfg::{Cycles, Graph},
    ir::{blocks, constant_of, is, operations, place_of},
};
use kinstr_trace::sites::Place;
use melior::ir::{
    BlockLike, BlockRef, OperationRef, RegionRef, Value, ValueLike,
    attribute::IntegerAttribute,
    block::BlockArgument,
    operation::{OperationLike, OperationResult},
    r#type::IntegerType,
};
use std::collections::HashSet;

/// A natural loop in simplified form: entered from one block that goes nowhere else, left into blocks that nothing
/// else goes to.
pub struct Loop<'c, 'a> {
    /// The only block that enters the loop.
    pub preheader: BlockRef<'c, 'a>,
    /// The block that every trip passes.
    pub header: BlockRef<'c, 'a>,
    /// Where it stands in the source, if that is known.
    pub place: Option<Place>,
    /// The blocks the loop leaves into.
    pub exits: Vec<BlockRef<'c, 'a>>,
    /// Loops around it, itself included.
    pub depth: u32,
    /// How its trips follow from an induction variable, if they plainly do.
    pub induction: Option<Induction<'c, 'a>>,
}

/// A variable that every trip moves by `step`: trips are `(last - first) / step`.
pub struct Induction<'c, 'a> {
    /// Its value when the loop is entered.
    pub first: Value<'c, 'a>,
    /// Its value after the last trip; known in the exit block.
    pub last: Value<'c, 'a>,
    /// What a trip adds; not 0.
    pub step: i64,
    /// True if `last` is a bound that is known in the preheader already.
    pub known_at_entry: bool,
}

/// The loops of one function.
pub struct Loops<'c, 'a> {
    /// Those in simplified form, outer ones before inner ones.
    pub loops: Vec<Loop<'c, 'a>>,
    /// Natural loops that are not in simplified form.
    pub not_simplified: usize,
    /// Edges that close irreducible cycles.
    pub irreducible_edges: usize,
}

impl<'c, 'a> Loops<'c, 'a> {
    /// The loops of a function body.
    pub fn of(region: RegionRef<'c, 'a>) -> Self {
        let list: Vec<BlockRef<'c, 'a>> = blocks(region).collect();
        let graph = Graph::of(region);
        let Cycles { mut loops, irreducible_edges } = graph.natural_loops();
        // A loop around another has more blocks; loops side by side keep the order of their headers.
        loops.sort_by_key(|natural| (std::cmp::Reverse(natural.blocks.len()), natural.header));
        let mut depths = vec![0; list.len()];
        let mut found = Self { loops: Vec::new(), not_simplified: 0, irreducible_edges };
        for natural in &loops {
            natural.blocks.iter().for_each(|block| depths[*block] += 1);
            let inside: HashSet<usize> = natural.blocks.iter().copied().collect();
            let Some((preheader, exits)) = borders(&graph, natural.header, &inside) else {
                found.not_simplified += 1;
                continue;
            };
            let stays = |block: &usize| graph.successors[*block].iter().all(|next| inside.contains(next));
            let exiting: Vec<usize> = natural.blocks.iter().copied().filter(|b| !stays(b)).collect();
            let induction = match (&natural.latches[..], &exiting[..]) {
                ([latch], [exit]) if latch == exit => {
                    let is_inside =
                        |block: BlockRef<'c, '_>| inside.iter().any(|one| is_same(list[*one], block));
                    induction(list[preheader], list[natural.header], list[*latch], &is_inside)
                }
                _ => None,
            };
            found.loops.push(Loop {
                preheader: list[preheader],
                header: list[natural.header],
                place: place(natural.latches.iter().chain([&natural.header]).map(|block| list[*block])),
                exits: exits.into_iter().map(|exit| list[exit]).collect(),
                depth: depths[natural.header],
                induction,
            });
        }
        found
    }
}

/// The line of the branch that goes back, which compilers give to the loop; else any line of the loop's own branches.
fn place<'c: 'a, 'a>(mut branching: impl Iterator<Item = BlockRef<'c, 'a>>) -> Option<Place> {
    branching.find_map(|block| operations(block).last().and_then(|branch| place_of(branch.location())))
}

/// Preheader and exit blocks, if the loop has a preheader and no exit block is shared.
fn borders(graph: &Graph, header: usize, inside: &HashSet<usize>) -> Option<(usize, Vec<usize>)> {
    let entering: Vec<usize> =
        graph.predecessors[header].iter().copied().filter(|block| !inside.contains(block)).collect();
    let &[preheader] = &entering[..] else { return None };
    if graph.successors[preheader].len() != 1 {
        return None;
    }
    let leaving = inside.iter().flat_map(|block| &graph.successors[*block]);
    let mut exits: Vec<usize> = leaving.copied().filter(|block| !inside.contains(block)).collect();
    exits.sort_unstable();
    exits.dedup();
    let dedicated = |exit: &usize| graph.predecessors[*exit].iter().all(|block| inside.contains(block));
    exits.iter().all(dedicated).then_some((preheader, exits))
}

/// An argument of the header that the latch passes on with a constant added. The one whose bound is known before the
/// loop comes first: where no use of the variable is added, the loop's code stays what it is.
fn induction<'c, 'a>(
    preheader: BlockRef<'c, 'a>,
    header: BlockRef<'c, 'a>,
    latch: BlockRef<'c, 'a>,
    is_inside: &dyn Fn(BlockRef<'c, '_>) -> bool,
) -> Option<Induction<'c, 'a>> {
    let variables = (0..header.argument_count()).filter_map(|index| {
        let argument: Value<'c, 'a> = header.argument(index).ok()?.into();
        let width = IntegerType::try_from(argument.r#type()).ok()?.width();
        // The distance must fit 64 bits.
        let last = passed(latch, header, index).filter(|_| width <= 64)?;
        let step = step(argument, last).filter(|step| *step != 0)?;
        let first = passed(preheader, header, index)?;
        let bound = bound(latch, header, last);
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

/// What the latch compares `last` with, if the loop is left as soon as they are equal, and not before.
fn bound<'c, 'a>(
    latch: BlockRef<'c, 'a>,
    header: BlockRef<'c, 'a>,
    last: Value<'c, 'a>,
) -> Option<Value<'c, 'a>> {
    let branch: OperationRef<'c, 'a> = operations(latch).last().filter(|op| is(*op, "llvm.cond_br"))?;
    let compare = OperationResult::try_from(branch.operand(0).ok()?).ok()?.owner();
    if !is(compare, "llvm.icmp") {
        return None;
    }
    let predicate = IntegerAttribute::try_from(compare.attribute("predicate").ok()?).ok()?.value();
    // Of LLVM's predicates `eq` is 0 and `ne` is 1; the loop goes on while the variable is not at its bound.
    let goes_on = usize::from(predicate == 0);
    if !matches!(predicate, 0 | 1) || !is_same(branch.successor(goes_on).ok()?, header) {
        return None;
    }
    let [left, right] = [compare.operand(0).ok()?, compare.operand(1).ok()?];
    if left == last { Some(right) } else { Some(left).filter(|_| right == last) }
}

/// True unless `value` is known before the loop.
fn moves<'c>(value: Value<'c, '_>, is_inside: &dyn Fn(BlockRef<'c, '_>) -> bool) -> bool {
    if value.is_operation_result() {
        let block = OperationResult::try_from(value).ok().and_then(|result| result.owner().block());
        return block.is_none_or(is_inside);
    }
    BlockArgument::try_from(value).map_or(true, |argument| is_inside(argument.owner()))
}

fn is_same(one: BlockRef<'_, '_>, other: BlockRef<'_, '_>) -> bool {
    one.to_raw().ptr == other.to_raw().ptr
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
    let is_to = |block: &BlockRef<'c, '_>| is_same(*block, to);
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

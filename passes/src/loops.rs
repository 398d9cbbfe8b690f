//! Loops as a probe needs them: where each is entered and left, what is around it, and how its trips can be told.

mod induction;

pub use induction::Induction;

use crate::{
    cfg::{Cycles, Graph},
    ir::{blocks, is_same_block, operations, place_of},
};
use induction::Edges;
use kinstr_trace::sites::Place;
use melior::ir::{BlockRef, RegionRef, operation::OperationLike};
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
                        |block: BlockRef<'c, '_>| inside.iter().any(|one| is_same_block(list[*one], block));
                    let edges = Edges {
                        preheader: list[preheader],
                        header: list[natural.header],
                        latch: list[*latch],
                        guards: guards(&graph, preheader).map(|(from, to)| (list[from], list[to])).collect(),
                    };
                    induction::of(&edges, &is_inside)
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

/// The edges that are passed whenever `block` is entered, the nearest first: a branch on one of them is a guard.
fn guards(graph: &Graph, block: usize) -> impl Iterator<Item = (usize, usize)> {
    let before = |block: usize| match &graph.predecessors[block][..] {
        &[only] => Some((only, block)),
        _ => None,
    };
    std::iter::successors(before(block), move |(from, _)| before(*from)).take(MOST_GUARDS)
}

/// Guards that are looked at: the one of a loop is one or two blocks before it.
const MOST_GUARDS: usize = 8;

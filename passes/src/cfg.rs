//! Control flow of one function body: natural loops.

use crate::ir::blocks;
use melior::ir::{BlockLike, BlockRef, RegionRef};

/// Edges of a function body that go back to a block which dominates their source: (source, header), by block number.
pub fn back_edges(region: RegionRef<'_, '_>) -> Vec<(usize, usize)> {
    let graph = Graph::of(region);
    let (dominators, rank) = graph.dominators();
    let edges = graph.successors.iter().enumerate();
    let edges = edges.flat_map(|(source, targets)| targets.iter().map(move |target| (source, *target)));
    edges
        .filter(|(source, header)| rank[*header] <= rank[*source] && dominates(&dominators, *header, *source))
        .collect()
}

/// For each block in order, how many natural loops it is in. Blocks that cannot be reached are in none.
pub fn loop_depths(region: RegionRef<'_, '_>) -> Vec<u32> {
    let graph = Graph::of(region);
    let mut depths = vec![0; graph.successors.len()];
    for natural in graph.natural_loops().loops {
        for block in natural.blocks {
            depths[block] += 1;
        }
    }
    depths
}

/// A loop with one header that dominates all of it. Blocks are numbered in the order of the function.
pub struct NaturalLoop {
    /// The block through which alone it is entered.
    pub header: usize,
    /// The blocks that go back to the header.
    pub latches: Vec<usize>,
    /// Every block of it, the header first.
    pub blocks: Vec<usize>,
}

/// The cycles of a function.
pub struct Cycles {
    /// Natural loops, in the order in which their back edges appear.
    pub loops: Vec<NaturalLoop>,
    /// Edges that go back to a block that does not dominate their source: they close irreducible cycles, which have
    /// several entries and are no loops.
    pub irreducible_edges: usize,
}

/// Who goes to whom.
pub struct Graph {
    /// By block.
    pub successors: Vec<Vec<usize>>,
    /// By block.
    pub predecessors: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of a function body.
    pub fn of(region: RegionRef<'_, '_>) -> Self {
        let list: Vec<BlockRef<'_, '_>> = blocks(region).collect();
        let index: std::collections::HashMap<_, _> =
            list.iter().enumerate().map(|(i, block)| (block.to_raw().ptr, i)).collect();
        let mut successors = vec![Vec::new(); list.len()];
        let mut predecessors = vec![Vec::new(); list.len()];
        for (source, block) in list.iter().enumerate() {
            for number in 0..block.successor_count() {
                let Ok(successor) = block.successor(number) else { continue };
                let Some(&target) = index.get(&successor.to_raw().ptr) else { continue };
                successors[source].push(target);
                predecessors[target].push(source);
            }
        }
        Self { successors, predecessors }
    }

    /// A back edge goes to a block that dominates its source; the loop is what reaches the source without passing
    /// the header. Loops that share a header count as one.
    pub fn natural_loops(&self) -> Cycles {
        let (dominators, rank) = self.dominators();
        let mut headers: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut irreducible_edges = 0;
        for (source, successors) in self.successors.iter().enumerate() {
            // Only an edge against the order can go back; the walk up the dominators is for those alone.
            let backwards = successors.iter().filter(|header| rank[**header] <= rank[source]);
            for &header in backwards.filter(|_| rank[source] != usize::MAX) {
                if !dominates(&dominators, header, source) {
                    irreducible_edges += 1;
                    continue;
                }
                match headers.iter_mut().find(|(known, _)| *known == header) {
                    Some((_, latches)) => latches.push(source),
                    None => headers.push((header, vec![source])),
                }
            }
        }
        let natural = |(header, latches): (usize, Vec<usize>)| {
            let blocks = self.natural_loop(header, latches.clone());
            NaturalLoop { header, latches, blocks }
        };
        Cycles { loops: headers.into_iter().map(natural).collect(), irreducible_edges }
    }

    /// Immediate dominators by the iterative algorithm of Cooper, Harvey and Kennedy (2001); the entry is
    /// its own, unreachable blocks have none.
    ///
    /// Also answers each block's place in reverse postorder.
    fn dominators(&self) -> (Vec<Option<usize>>, Vec<usize>) {
        let order = self.reverse_postorder();
        let mut rank = vec![usize::MAX; self.successors.len()];
        for (position, &block) in order.iter().enumerate() {
            rank[block] = position;
        }
        let mut immediate = vec![None; self.successors.len()];
        if !immediate.is_empty() {
            immediate[0] = Some(0);
        }
        let mut changed = true;
        while changed {
            changed = false;
            for &block in order.iter().skip(1) {
                let known = self.predecessors[block].iter().copied().filter(|p| immediate[*p].is_some());
                let new = known.reduce(|a, b| intersect(&immediate, &rank, a, b));
                if new.is_some() && immediate[block] != new {
                    immediate[block] = new;
                    changed = true;
                }
            }
        }
        (immediate, rank)
    }

    fn reverse_postorder(&self) -> Vec<usize> {
        let mut order = Vec::new();
        let mut seen = vec![false; self.successors.len()];
        let mut stack = Vec::new();
        if !seen.is_empty() {
            seen[0] = true;
            stack.push((0, 0));
        }
        while let Some((block, next)) = stack.pop() {
            match self.successors[block].get(next) {
                Some(&successor) => {
                    stack.push((block, next + 1));
                    if !std::mem::replace(&mut seen[successor], true) {
                        stack.push((successor, 0));
                    }
                }
                None => order.push(block),
            }
        }
        order.reverse();
        order
    }

    fn natural_loop(&self, header: usize, latches: Vec<usize>) -> Vec<usize> {
        let mut inside = vec![header];
        let mut seen = vec![false; self.successors.len()];
        seen[header] = true;
        let mut stack = latches;
        while let Some(block) = stack.pop() {
            if !std::mem::replace(&mut seen[block], true) {
                inside.push(block);
                stack.extend(&self.predecessors[block]);
            }
        }
        inside
    }
}

fn intersect(immediate: &[Option<usize>], rank: &[usize], mut a: usize, mut b: usize) -> usize {
    while a != b {
        while rank[a] > rank[b] {
            a = immediate[a].unwrap_or(0);
        }
        while rank[b] > rank[a] {
            b = immediate[b].unwrap_or(0);
        }
    }
    a
}

fn dominates(immediate: &[Option<usize>], dominator: usize, mut block: usize) -> bool {
    loop {
        if block == dominator {
            return immediate[block].is_some();
        }
        match immediate[block] {
            Some(parent) if parent != block => block = parent,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depths(text: &str) -> Vec<u32> {
        let (context, _) = crate::context::create().unwrap();
        let module = crate::ffi::parse_module(&context, text, "test.mlir").unwrap();
        let functions = crate::ir::functions(&module, "llvm");
        loop_depths(crate::ir::body(functions[0]).unwrap())
    }

    #[test]
    fn nested_loops_count_and_forward_edges_do_not() {
        let nested = "llvm.func @f(%c: i1) {
            llvm.br ^outer
          ^outer:
            llvm.br ^inner
          ^inner:
            llvm.cond_br %c, ^inner, ^latch
          ^latch:
            llvm.cond_br %c, ^outer, ^out
          ^out:
            llvm.return
          }";
        assert_eq!(depths(nested), [0, 1, 2, 1, 0]);
    }

    #[test]
    fn an_irreducible_cycle_is_no_loop() {
        let two_entries = "llvm.func @f(%c: i1) {
            llvm.cond_br %c, ^a, ^b
          ^a:
            llvm.br ^b
          ^b:
            llvm.cond_br %c, ^a, ^out
          ^out:
            llvm.return
          }";
        assert_eq!(depths(two_entries), [0, 0, 0, 0]);
    }
}

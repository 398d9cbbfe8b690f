//! Control flow of one function body: natural loops.

use crate::ir::blocks;
use melior::ir::{BlockLike, BlockRef, RegionRef};

/// For each block in order, how many natural loops it is in. Blocks that cannot be reached are in none.
///
/// A back edge goes to a block that dominates its source; the loop is what reaches the source without
/// passing the header. Irreducible cycles have no such header and count as no loop.
pub fn loop_depths(region: RegionRef<'_, '_>) -> Vec<u32> {
    let graph = Graph::of(region);
    let (dominators, rank) = graph.dominators();
    let mut headers: Vec<(usize, Vec<usize>)> = Vec::new();
    for (source, successors) in graph.successors.iter().enumerate() {
        for &header in successors {
            // Only an edge against the order can go back; the walk up the dominators is for those alone.
            if rank[header] <= rank[source] && dominates(&dominators, header, source) {
                match headers.iter_mut().find(|(known, _)| *known == header) {
                    Some((_, latches)) => latches.push(source),
                    None => headers.push((header, vec![source])),
                }
            }
        }
    }
    let mut depths = vec![0; graph.successors.len()];
    for (header, latches) in headers {
        for block in graph.natural_loop(header, latches) {
            depths[block] += 1;
        }
    }
    depths
}

struct Graph {
    successors: Vec<Vec<usize>>,
    predecessors: Vec<Vec<usize>>,
}

impl Graph {
    fn of(region: RegionRef<'_, '_>) -> Self {
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

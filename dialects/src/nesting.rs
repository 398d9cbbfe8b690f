//! Which regions are open where: begin and end pair up like brackets, along every path.

use crate::ops::{Op, site_of};
use crate::verify::VerifyError;
use melior::ir::{BlockLike, BlockRef, OperationRef, RegionLike, RegionRef, operation::OperationLike};
use std::collections::{BTreeMap, HashMap};

/// Where a region begins or ends: its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Border {
    Begin(u32),
    End(u32),
}

/// Tells which border of a region an op is.
pub type BorderOf<'f> = &'f dyn Fn(OperationRef<'_, '_>) -> Option<Border>;

/// How regions nest under one operation. Blocks that no path leads to are left out.
#[derive(Debug, Default)]
pub struct Nesting {
    /// Every region site, and the site around it if there is one in the same function.
    pub parents: BTreeMap<u32, Option<u32>>,
    /// Open regions, innermost last, at the head of each block.
    heads: HashMap<usize, Vec<u32>>,
}

impl Nesting {
    /// Follows every path of every body under `root`.
    ///
    /// # Errors
    /// [`VerifyError::NotNested`] where two regions cross, where a region is open on one path to a block and not on
    /// another, or where a body ends inside of one.
    pub fn of(root: OperationRef<'_, '_>) -> Result<Self, VerifyError> {
        Self::of_borders(root, &|operation| match (Op::of(&operation)?, site_of(&operation)?) {
            (Op::RegionBegin, site) => Some(Border::Begin(site)),
            (Op::RegionEnd, site) => Some(Border::End(site)),
            _ => None,
        })
    }

    /// The same of any other ops that begin and end regions.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_borders(root: OperationRef<'_, '_>, border: BorderOf<'_>) -> Result<Self, VerifyError> {
        let mut nesting = Self::default();
        nesting.bodies(root, &[], border)?;
        Ok(nesting)
    }

    /// The open regions at the head of `block`, innermost last; `None` if no path leads there.
    pub fn at_head(&self, block: BlockRef<'_, '_>) -> Option<&[u32]> {
        self.heads.get(&key(block)).map(Vec::as_slice)
    }

    fn bodies(
        &mut self,
        operation: OperationRef<'_, '_>,
        outer: &[u32],
        border: BorderOf<'_>,
    ) -> Result<(), VerifyError> {
        (0..operation.region_count())
            .filter_map(|number| operation.region(number).ok())
            .try_for_each(|region| self.paths(region, outer, border))
    }

    fn paths(
        &mut self,
        region: RegionRef<'_, '_>,
        outer: &[u32],
        border: BorderOf<'_>,
    ) -> Result<(), VerifyError> {
        let Some(first) = region.first_block() else { return Ok(()) };
        self.heads.insert(key(first), outer.to_vec());
        let mut left = vec![first];
        while let Some(block) = left.pop() {
            let open = self.through(block, outer, border)?;
            for successor in (0..block.successor_count()).filter_map(|number| block.successor(number).ok()) {
                match self.heads.get(&key(successor)) {
                    Some(known) if *known == open => {}
                    Some(known) => return Err(torn(known, &open, successor)),
                    None => {
                        self.heads.insert(key(successor), open.clone());
                        left.push(successor);
                    }
                }
            }
        }
        Ok(())
    }

    /// What is open at the end of `block`.
    fn through(
        &mut self,
        block: BlockRef<'_, '_>,
        outer: &[u32],
        border: BorderOf<'_>,
    ) -> Result<Vec<u32>, VerifyError> {
        let mut open = self.heads.get(&key(block)).cloned().unwrap_or_default();
        let mut next = block.first_operation();
        let mut last = None;
        while let Some(operation) = next {
            match border(operation) {
                Some(Border::Begin(site)) => {
                    // Optimisers copy code, so that a site may begin in several places.
                    self.parents.insert(site, open.last().copied());
                    open.push(site);
                }
                Some(Border::End(site)) => {
                    if open.len() <= outer.len() || open.pop() != Some(site) {
                        return Err(not_nested(site, operation));
                    }
                }
                None => self.bodies(operation, &open, border)?,
            }
            last = Some(operation);
            next = operation.next_in_block();
        }
        match (last, open.last()) {
            (Some(last), Some(site)) if ends_body(block, last) && open.len() > outer.len() => {
                Err(not_nested(*site, last))
            }
            _ => Ok(open),
        }
    }
}

/// True if control leaves the body here; what is unreachable leaves nothing.
fn ends_body(block: BlockRef<'_, '_>, last: OperationRef<'_, '_>) -> bool {
    block.successor_count() == 0 && last.name().as_string_ref().as_str() != Ok("llvm.unreachable")
}

/// The first site that is open on one way into `block` and not on the other.
fn torn(known: &[u32], open: &[u32], block: BlockRef<'_, '_>) -> VerifyError {
    let same = known.iter().zip(open).take_while(|(a, b)| a == b).count();
    let site = known.get(same).or(open.get(same)).copied().unwrap_or_default();
    let location = block.first_operation().map(|first| first.location().to_string());
    VerifyError::NotNested { site, location: location.unwrap_or_default() }
}

fn not_nested(site: u32, operation: OperationRef<'_, '_>) -> VerifyError {
    VerifyError::NotNested { site, location: operation.location().to_string() }
}

fn key(block: BlockRef<'_, '_>) -> usize {
    block.to_raw().ptr as usize
}

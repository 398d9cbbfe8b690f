//! The join of counters with site facts, in checked arithmetic.

use super::{AccessWork, Amounts, BlockWork, CallWork, FlopWork, LineWork, Work};
use crate::sites::{LineFacts, ProbeSite, SiteKind, SiteTable};
use crate::tables::Trace;
use thiserror::Error;

/// Why counters and facts give no work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WorkError {
    /// No site counts blocks.
    #[error("the site table has no blocks to count")]
    NoBlocks,
    /// A sum does not fit 64 bits, so it would not be exact.
    #[error("the work of site {site} (`{name}`) does not fit 64 bits")]
    Overflow {
        /// Site.
        site: u32,
        /// Its label.
        name: String,
    },
}

impl Work {
    /// Joins the counters of `trace` with the facts of `sites`.
    ///
    /// # Errors
    /// [`WorkError`] if there are no blocks, or if a sum is not exact in 64 bits.
    pub fn of(trace: &Trace, sites: &SiteTable) -> Result<Self, WorkError> {
        let executions = executions(trace, sites);
        Self::join(trace, sites, executions.into_iter().map(|runs| Some((runs?, runs?))))
    }

    /// The same for code that warps of a GPU ran, whose blocks own a word: the lanes that were active. Instructions are
    /// those of warps; operations and bytes are those of active lanes.
    ///
    /// # Errors
    /// As [`Work::of`].
    pub fn of_warps(trace: &Trace, sites: &SiteTable) -> Result<Self, WorkError> {
        let lanes = first_words(trace, sites);
        Self::join(
            trace,
            sites,
            executions(trace, sites).into_iter().zip(lanes).map(|(runs, lanes)| runs.zip(lanes)),
        )
    }

    /// `runs` are the executions of each site, and those of them as often as what it does is done.
    fn join(
        trace: &Trace,
        sites: &SiteTable,
        runs: impl Iterator<Item = Option<(u64, u64)>>,
    ) -> Result<Self, WorkError> {
        let units = trace.units.len() as u32;
        let mut work = Self { launches: trace.launches, units, ..Self::default() };
        for (site, runs) in sites.sites.iter().zip(runs) {
            if matches!(site.kind, SiteKind::Block | SiteKind::Copy) {
                let block = runs.and_then(|(executions, lanes)| block(site, executions, lanes));
                let block = block.ok_or_else(|| overflow(site))?;
                let summed = block.lines.iter().try_for_each(|l| work.total.add(&l.amounts));
                summed.and_then(|()| work.total.sums_fit()).ok_or_else(|| overflow(site))?;
                match (site.kind, work.blocks.last_mut()) {
                    (SiteKind::Copy, Some(around)) => around.take_in(block),
                    _ => work.blocks.push(block),
                }
            }
        }
        if work.blocks.is_empty() { Err(WorkError::NoBlocks) } else { Ok(work) }
    }
}

/// Executions by site, `None` where they do not fit.
fn executions(trace: &Trace, sites: &SiteTable) -> Vec<Option<u64>> {
    sums(sites, trace.counts.iter().map(|row| (row.site, row.count)))
}

/// Sum of the first word by site, `None` where it does not fit.
fn first_words(trace: &Trace, sites: &SiteTable) -> Vec<Option<u64>> {
    sums(sites, trace.words.iter().filter_map(|row| Some((row.site, *row.words.first()?))))
}

fn sums(sites: &SiteTable, rows: impl Iterator<Item = (u32, u64)>) -> Vec<Option<u64>> {
    let mut sums: Vec<Option<u64>> = vec![Some(0); sites.sites.len()];
    for (site, value) in rows {
        if let Some(sum) = sums.get_mut(site as usize) {
            *sum = sum.and_then(|sum| sum.checked_add(value));
        }
    }
    sums
}

fn overflow(site: &ProbeSite) -> WorkError {
    WorkError::Overflow { site: site.id, name: site.name.clone() }
}

/// Work of one block, or `None` where it does not fit.
fn block(site: &ProbeSite, executions: u64, lanes: u64) -> Option<BlockWork> {
    let lines = site.lines.iter().map(|facts| {
        let amounts = Amounts::times(facts, executions, lanes)?;
        Some(LineWork { place: facts.place.clone(), amounts })
    });
    Some(BlockWork {
        site: site.id,
        name: site.name.clone(),
        function: site.function.clone(),
        loop_depth: site.loop_depth,
        executions,
        lines: lines.collect::<Option<_>>()?,
    })
}

impl BlockWork {
    /// Adds the bytes of a copy in this block, whose counter is not one of executions.
    fn take_in(&mut self, copy: Self) {
        for line in copy.lines {
            match self.lines.iter_mut().find(|known| known.place == line.place) {
                Some(known) => known.amounts.merge(&line.amounts),
                None => self.lines.push(line),
            }
        }
    }
}

impl Amounts {
    /// `executions` times `facts`, its operations and bytes times `lanes`, or `None` where it does not fit.
    fn times(facts: &LineFacts, executions: u64, lanes: u64) -> Option<Self> {
        let times = |count: u32| u64::from(count).checked_mul(executions);
        let by_lane = |count: u32| u64::from(count).checked_mul(lanes);
        let mut sum = Self {
            instructions: times(facts.instructions)?,
            int_ops: times(facts.int_ops)?,
            branches: times(facts.branches)?,
            ..Self::default()
        };
        for fact in &facts.flops {
            let flops = by_lane(fact.flops)?;
            let (dtype, lanes) = (fact.dtype.clone(), fact.lanes);
            let (slow, fused, tensor) = (fact.slow, fact.fused, fact.tensor);
            sum.add_flops(&FlopWork { dtype, lanes, slow, fused, tensor, flops })?;
        }
        for fact in &facts.memory {
            let bytes = by_lane(fact.bytes)?;
            let (buffer, kind) = (fact.buffer.clone(), fact.kind);
            let (lanes, indexed, nontemporal) = (fact.lanes, fact.indexed, fact.nontemporal);
            sum.add_access(&AccessWork { buffer, kind, lanes, indexed, nontemporal, bytes })?;
        }
        for fact in &facts.calls {
            let calls = times(fact.count)?;
            let (callee, lanes, internal) = (fact.callee.clone(), fact.lanes, fact.internal);
            sum.add_calls(&CallWork { callee, lanes, internal, calls })?;
        }
        Some(sum)
    }

    /// Adds `other`, or returns `None` where the sum does not fit.
    fn add(&mut self, other: &Self) -> Option<()> {
        self.instructions = self.instructions.checked_add(other.instructions)?;
        self.int_ops = self.int_ops.checked_add(other.int_ops)?;
        self.branches = self.branches.checked_add(other.branches)?;
        other.flops.iter().try_for_each(|row| self.add_flops(row))?;
        other.memory.iter().try_for_each(|row| self.add_access(row))?;
        other.calls.iter().try_for_each(|row| self.add_calls(row))
    }

    /// `Some` if the sums over all kinds fit, so that no sum of a part can overflow.
    fn sums_fit(&self) -> Option<()> {
        let add = |sum: u64, next: u64| sum.checked_add(next);
        self.flops.iter().map(|row| row.flops).try_fold(0, add)?;
        self.memory.iter().map(|row| row.bytes).try_fold(0, add)?;
        self.calls.iter().map(|row| row.calls).try_fold(0, add)?;
        Some(())
    }

    /// Adds a part of a whole whose sum is known to fit, because [`Work::of`] has made it.
    pub(super) fn merge(&mut self, other: &Self) {
        let fits = self.add(other);
        debug_assert!(fits.is_some(), "parts of a checked total fit");
    }

    fn add_flops(&mut self, row: &FlopWork) -> Option<()> {
        let same = |known: &&mut FlopWork| {
            (known.lanes, known.slow, known.fused, known.tensor, &known.dtype)
                == (row.lanes, row.slow, row.fused, row.tensor, &row.dtype)
        };
        match self.flops.iter_mut().find(same) {
            Some(known) => known.flops = known.flops.checked_add(row.flops)?,
            None => self.flops.push(row.clone()),
        }
        Some(())
    }

    fn add_access(&mut self, row: &AccessWork) -> Option<()> {
        let same = |known: &&mut AccessWork| {
            (&known.buffer, known.kind, known.lanes, known.indexed, known.nontemporal)
                == (&row.buffer, row.kind, row.lanes, row.indexed, row.nontemporal)
        };
        match self.memory.iter_mut().find(same) {
            Some(known) => known.bytes = known.bytes.checked_add(row.bytes)?,
            None => self.memory.push(row.clone()),
        }
        Some(())
    }

    fn add_calls(&mut self, row: &CallWork) -> Option<()> {
        let same = |known: &&mut CallWork| {
            known.callee == row.callee && (known.lanes, known.internal) == (row.lanes, row.internal)
        };
        match self.calls.iter_mut().find(same) {
            Some(known) => known.calls = known.calls.checked_add(row.calls)?,
            None => self.calls.push(row.clone()),
        }
        Some(())
    }
}

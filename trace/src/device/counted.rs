//! What a kernel did, from the counters of its blocks.

use super::build::Of;
use super::occupancy::WARP;
use super::{DeviceRecords, KernelWork};
use crate::sites::{AccessKind, Buffer, SiteKind};
use crate::work::{AccessWork, Amounts, Work};

/// Work of one call; `None` if no block of the kernel was counted, or a sum does not fit.
pub(super) fn work(records: &DeviceRecords, of: &Of) -> Option<KernelWork> {
    let (trace, sites) = (records.trace, records.sites);
    let work = Work::of_warps(trace, sites).ok()?;
    let is_of = |id: u32| sites.sites.get(id as usize).is_some_and(|site| of.site(site));
    let blocks: Vec<_> = work.blocks.iter().filter(|block| is_of(block.site)).collect();
    let lanes = lanes(records);
    let (mut sum, mut slots) = (Sum::default(), Slots::default());
    for block in &blocks {
        let amounts = block.amounts();
        slots.add(
            amounts.instructions,
            block.executions,
            lanes.get(block.site as usize).copied().unwrap_or(0),
        );
        sum.add(&amounts);
    }
    let calls = u64::from(trace.launches.max(1));
    (!blocks.is_empty()).then(|| sum.per_call(calls, &slots))
}

/// Lanes that were active, by site, all executions together.
fn lanes(records: &DeviceRecords) -> Vec<u64> {
    let mut lanes = vec![0_u64; records.sites.sites.len()];
    for row in &records.trace.words {
        let is_block =
            records.sites.sites.get(row.site as usize).is_some_and(|site| site.kind == SiteKind::Block);
        if let (true, Some(sum), Some(word)) = (is_block, lanes.get_mut(row.site as usize), row.words.first())
        {
            *sum = sum.saturating_add(*word);
        }
    }
    lanes
}

/// Places for lanes in the instructions that warps executed, and how many of them were taken.
#[derive(Default)]
struct Slots {
    all: f64,
    active: f64,
}

impl Slots {
    fn add(&mut self, instructions: u64, executions: u64, lanes: u64) {
        if executions > 0 {
            self.all += instructions as f64;
            self.active += instructions as f64 * lanes as f64 / (executions as f64 * WARP as f64);
        }
    }
}

/// Amounts of all calls.
#[derive(Default)]
struct Sum {
    instructions: u64,
    int_ops: u64,
    flops: u64,
    tensor: u64,
    loaded: u64,
    stored: u64,
    shared: u64,
}

impl Sum {
    fn add(&mut self, amounts: &Amounts) {
        let outside = |row: &AccessWork| !matches!(row.buffer, Buffer::Shared | Buffer::Stack);
        self.instructions += amounts.instructions;
        self.int_ops += amounts.int_ops;
        self.flops += amounts.flops_where(|row| !row.tensor);
        self.tensor += amounts.flops_where(|row| row.tensor);
        self.loaded += amounts.bytes_where(|row| outside(row) && row.kind == AccessKind::Load);
        self.stored += amounts.bytes_where(|row| outside(row) && row.kind != AccessKind::Load);
        self.shared += amounts.bytes_where(|row| row.buffer == Buffer::Shared);
    }

    fn per_call(&self, calls: u64, slots: &Slots) -> KernelWork {
        KernelWork {
            warp_instructions: self.instructions / calls,
            active_lanes: if slots.all > 0.0 { slots.active / slots.all } else { 1.0 },
            integer_share: self.int_ops as f64 / self.instructions.max(1) as f64,
            flops: self.flops / calls,
            tensor_flops: self.tensor / calls,
            global_loaded: self.loaded / calls,
            global_stored: self.stored / calls,
            shared_bytes: self.shared / calls,
        }
    }
}

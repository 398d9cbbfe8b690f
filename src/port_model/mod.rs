//! The static model of this core on the loops that matter: which they are comes from the block counters, their code
//! from the clean build's assembly, their cycles from llvm-mca.

mod assembly;
mod chain;
mod mca;

pub use mca::{McaError, program};

use crate::store::Store;
use assembly::{Loop, innermost_loops};
use kinstr_trace::{
    port_model::{HotBlock, Resource},
    work::{BlockWork, Work},
};
use mca::{Mca, Region};
use std::collections::HashMap;

/// Loops that are modelled on one workload at most.
const MOST: usize = 4;
/// A loop with a smaller part of the instructions is not hot.
const LEAST_SHARE: f64 = 0.05;
/// A block of a loop is part of its ordinary iteration if it runs at least this often for each one.
const ORDINARY: f64 = 0.5;
/// Resources and instructions of the critical chain that are kept.
const KEPT: usize = 3;

/// What came of the model on one workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Modelled {
    /// Hottest loop first.
    pub blocks: Vec<HotBlock>,
    /// Hot code that could not be modelled, one sentence each.
    pub left_out: Vec<String>,
}

/// The model, and what it said of loops already: workloads share their code.
pub struct PortModel {
    mca: Mca,
    loops: Vec<Loop>,
    known: HashMap<Vec<String>, Result<HotBlock, String>>,
}

impl PortModel {
    /// For code in `assembly` on `cpu`; answers are kept in `store`.
    ///
    /// # Errors
    /// [`McaError`] if llvm-mca is absent or has no model to offer.
    pub fn new(assembly: &str, cpu: &str, store: &Store) -> Result<Self, McaError> {
        Ok(Self { mca: Mca::find(cpu, store)?, loops: innermost_loops(assembly), known: HashMap::new() })
    }

    /// LLVM's name of the CPU that is modelled.
    pub fn cpu(&self) -> &str {
        &self.mca.cpu
    }

    /// Models the hottest loops of `work`.
    pub fn model(&mut self, work: &Work) -> Modelled {
        let mut hot: Vec<HotLoop> = self.loops.iter().filter_map(|found| HotLoop::of(found, work)).collect();
        hot.sort_by(|a, b| b.share.total_cmp(&a.share));
        let mut modelled = Modelled { blocks: Vec::new(), left_out: not_in(&hot, work) };
        for hot in hot.into_iter().filter(|hot| hot.share >= LEAST_SHARE).take(MOST) {
            let mca = &self.mca;
            let known = self.known.entry(hot.body.clone()).or_insert_with(|| simulate(mca, &hot.body));
            match known {
                Ok(block) => modelled.blocks.push(hot.measured(block)),
                Err(reason) => modelled.left_out.push(format!("`{}`: {reason}", hot.name)),
            }
        }
        modelled
    }
}

/// A loop of the machine code with what the counters say of it.
struct HotLoop<'w> {
    name: String,
    blocks: Vec<&'w BlockWork>,
    executions: u64,
    share: f64,
    body: Vec<String>,
}

impl<'w> HotLoop<'w> {
    /// `None` if code generation made up the loop's head, so that no counter tells how often it ran, or it never did.
    fn of(found: &Loop, work: &'w Work) -> Option<Self> {
        let counted = |ir: &str| {
            let name = format!("{}:{ir}", found.function);
            work.blocks.iter().find(|block| block.name == name)
        };
        let head = counted(&found.blocks[found.head].ir).filter(|head| head.executions > 0)?;
        let mut hot = HotLoop {
            name: head.name.clone(),
            blocks: Vec::new(),
            executions: work.per_launch(head.executions),
            share: 0.0,
            body: Vec::new(),
        };
        for block in &found.blocks {
            let Some(counts) = counted(&block.ir) else { continue };
            if counts.executions as f64 >= ORDINARY * head.executions as f64 {
                hot.body.extend(block.instructions.iter().cloned());
                // One IR block may have become several machine blocks.
                if hot.blocks.iter().all(|known| known.site != counts.site) {
                    hot.share += share(counts, work);
                    hot.blocks.push(counts);
                }
            }
        }
        Some(hot)
    }

    fn measured(&self, model: &HotBlock) -> HotBlock {
        let hottest = self.blocks.iter().max_by_key(|block| block.amounts().instructions);
        HotBlock {
            name: self.name.clone(),
            place: hottest.and_then(|block| block.hottest_line()).cloned(),
            executions: self.executions,
            share: rounded(self.share),
            ..model.clone()
        }
    }
}

/// A model is not exact to more digits than these.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The block's part of all executed instructions.
fn share(block: &BlockWork, work: &Work) -> f64 {
    block.amounts().instructions as f64 / work.total.instructions.max(1) as f64
}

/// Hot blocks that are in none of the loops: of an outer loop, or lost in code generation.
fn not_in(hot: &[HotLoop<'_>], work: &Work) -> Vec<String> {
    let modelled =
        |block: &BlockWork| hot.iter().flat_map(|hot| &hot.blocks).any(|known| known.site == block.site);
    let missing =
        work.blocks.iter().filter(|block| share(block, work) >= 2.0 * LEAST_SHARE && !modelled(block));
    missing
        .map(|block| {
            let percent = share(block, work) * 100.0;
            format!(
                "`{}` with {percent:.0} % of the instructions is in no innermost loop of the assembly",
                block.name
            )
        })
        .collect()
}

fn simulate(mca: &Mca, body: &[String]) -> Result<HotBlock, String> {
    let region = mca.simulate(body).map_err(|error| error.to_string())?;
    Ok(HotBlock { model: region.cpu.clone(), ..summary(&region) })
}

/// The model's half of a hot block.
fn summary(region: &Region) -> HotBlock {
    let Region { summary, bottleneck, .. } = region;
    let count = region.instructions.len();
    let uops = summary.total_uops / summary.iterations;
    let resources = busiest(region);
    HotBlock {
        instructions: u32::try_from(count).unwrap_or(u32::MAX),
        uops,
        cycles: rounded(summary.total_cycles / summary.iterations),
        throughput_cycles: rounded(summary.block_throughput.max(uops / summary.dispatch_width)),
        relieved_cycles: rounded(relieved(&resources).max(uops / summary.dispatch_width)),
        dependency_share: rounded(bottleneck.data_dependency_cycles / summary.total_cycles),
        resource_share: rounded(bottleneck.resource_pressure_cycles / summary.total_cycles),
        resources: resources.into_iter().take(KEPT).collect(),
        critical: critical(region),
        calls: region.instructions.iter().filter(|text| text.starts_with("call")).count() as u32,
        ..HotBlock::default()
    }
}

/// Resources by the cycles an iteration keeps them busy; units of one kind, which the model numbers after a dot, count
/// as one, with the busiest unit's cycles.
fn busiest(region: &Region) -> Vec<Resource> {
    let sums = region.pressure.info.iter().filter(|row| row.instruction_index == region.instructions.len());
    let mut resources: Vec<Resource> = Vec::new();
    for row in sums {
        let Some(name) = region.resources.get(row.resource_index) else { continue };
        let name = name.split('.').next().unwrap_or(name);
        match resources.iter_mut().find(|known| known.name == name) {
            Some(known) => known.cycles = known.cycles.max(row.resource_usage),
            None => resources.push(Resource { name: name.to_owned(), cycles: row.resource_usage }),
        }
    }
    resources.sort_by(|a, b| b.cycles.total_cmp(&a.cycles).then_with(|| a.name.cmp(&b.name)));
    resources
}

/// Resources busy for at least this part of what the busiest is are of its kind: the model spreads work evenly.
const EQUAL: f64 = 0.8;

/// Cycles an iteration of the first resource that is not of the busiest one's kind.
fn relieved(resources: &[Resource]) -> f64 {
    let most = resources.first().map_or(0.0, |resource| resource.cycles);
    let next = resources.iter().find(|resource| resource.cycles < EQUAL * most);
    next.map_or(0.0, |resource| resource.cycles)
}

/// Instructions of the longest chain from one iteration to the next, in the order of the body.
fn critical(region: &Region) -> Vec<String> {
    let latencies: Vec<f64> = region.info.instructions.iter().map(|info| info.latency).collect();
    let chain = chain::longest(&region.instructions, &latencies);
    let texts = chain.into_iter().filter_map(|index| region.instructions.get(index));
    texts.take(KEPT).map(|text| text.replace('\t', " ")).collect()
}

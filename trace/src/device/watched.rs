//! What single accesses and branches of a kernel did, from the words that their sites own.

use super::build::Of;
use super::{AccessTable, BranchTable, DeviceRecords};
use crate::sites::{AddressSource, Buffer, ProbeSite, SiteKind};

/// Words of an access: active lanes, bytes asked for, sectors or wavefronts, most lanes on one address.
pub const ACCESS_WORDS: usize = 4;
/// Words of a branch: active lanes, lanes that took it, executions in which some did and some did not.
pub const DIVERGENCE_WORDS: usize = 3;
/// The probe of branches, whose sites are of the kind that CPU branches are.
const DIVERGENCE: &str = "divergence";
/// Bytes of a sector, the least that caches move.
pub const SECTOR_BYTES: u64 = 32;
/// Bytes of a wavefront of shared memory: a word from each of 32 banks.
pub const WAVEFRONT_BYTES: u64 = 128;

/// Accesses that ran, in one call.
pub(super) fn accesses(records: &DeviceRecords, of: &Of) -> Vec<AccessTable> {
    let sites =
        of.sites(records.sites).filter(|site| matches!(site.kind, SiteKind::Access | SiteKind::Atomic));
    sites.filter_map(|site| access(records, site, scale(records, of))).collect()
}

/// Branches that ran, in one call.
pub(super) fn branches(records: &DeviceRecords, of: &Of) -> Vec<BranchTable> {
    let sites = of.sites(records.sites).filter(|site| site.probe == DIVERGENCE);
    sites.filter_map(|site| branch(records, site, scale(records, of))).collect()
}

/// What a recorded amount is multiplied with to be that of one call.
fn scale(records: &DeviceRecords, of: &Of) -> f64 {
    let shift =
        records.launches.iter().filter(|launch| of.launch(launch)).map(|launch| launch.block_shift).max();
    2_f64.powi(shift.unwrap_or(0).min(31).cast_signed()) / f64::from(records.trace.launches.max(1))
}

fn access(records: &DeviceRecords, site: &ProbeSite, scale: f64) -> Option<AccessTable> {
    let fact = site.lines.iter().find_map(|line| line.memory.first())?;
    let (executions, words) = sums::<ACCESS_WORDS>(records, site, scale)?;
    let [lanes, bytes, parts, same_address] = words;
    let part = if fact.buffer == Buffer::Shared { WAVEFRONT_BYTES } else { SECTOR_BYTES };
    Some(AccessTable {
        place: site.place.clone(),
        buffer: fact.buffer.clone(),
        kind: fact.kind,
        atomic: site.kind == SiteKind::Atomic,
        address: fact.address.unwrap_or(AddressSource::Computed),
        loop_depth: site.loop_depth,
        executions,
        lanes,
        bytes,
        parts,
        // Lanes on one address need fewer than their bytes say.
        ideal_parts: bytes.div_ceil(part).max(executions).min(parts),
        same_address,
    })
}

fn branch(records: &DeviceRecords, site: &ProbeSite, scale: f64) -> Option<BranchTable> {
    let (executions, [lanes, taken, mixed]) = sums::<DIVERGENCE_WORDS>(records, site, scale)?;
    let (name, place, loop_depth) = (site.name.clone(), site.place.clone(), site.loop_depth);
    Some(BranchTable { name, place, loop_depth, executions, lanes, taken, mixed })
}

/// Executions and words of a site over all units; `None` if it did not run or owns other words.
fn sums<const WORDS: usize>(
    records: &DeviceRecords,
    site: &ProbeSite,
    scale: f64,
) -> Option<(u64, [u64; WORDS])> {
    if site.words as usize != WORDS {
        return None;
    }
    let counts = records.trace.counts.iter().filter(|row| row.site == site.id);
    let executions = counts.fold(0_u64, |sum, row| sum.saturating_add(row.count));
    let mut words = [0_u64; WORDS];
    for row in records.trace.words.iter().filter(|row| row.site == site.id) {
        for (sum, word) in words.iter_mut().zip(&row.words) {
            *sum = sum.saturating_add(*word);
        }
    }
    let scaled = |amount: u64| (amount as f64 * scale).round() as u64;
    (executions > 0).then(|| (scaled(executions), words.map(scaled)))
}

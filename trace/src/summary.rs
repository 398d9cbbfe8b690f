//! A trace as text, for people and golden tests. Times stay in ticks, which do not depend on the run.

use crate::tables::Trace;
use std::fmt::Write;

/// Slices the summary lists; the rest is counted.
const SLICES_SHOWN: usize = 40;

impl Trace {
    /// A stable table of everything in the trace.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_summary(&mut text);
        text
    }

    fn write_summary(&self, out: &mut String) -> std::fmt::Result {
        let mode = format!("{:?}", self.mode).to_lowercase();
        writeln!(out, "trace: {mode}, {} launches, {} units", self.launches, self.units.len())?;
        self.write_units(out)?;
        self.write_aggregates(out)?;
        self.write_counts(out)?;
        self.write_slices(out)?;
        self.write_losses(out)
    }

    fn write_units(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{:>6} {:>6} {:>14} {:>10} {:>10}", "unit", "core", "ticks", "records", "dropped")?;
        for unit in &self.units {
            let ticks = unit.clock.end_ticks.saturating_sub(unit.clock.begin_ticks);
            let (id, core) = (unit.id, unit.core);
            writeln!(out, "{id:>6} {core:>6} {ticks:>14} {:>10} {:>10}", unit.produced, unit.dropped)?;
        }
        Ok(())
    }

    fn write_aggregates(&self, out: &mut String) -> std::fmt::Result {
        if self.aggregates.is_empty() {
            return Ok(());
        }
        writeln!(out, "aggregates")?;
        writeln!(
            out,
            "{:>6} {:>6} {:>10} {:>14} {:>12} {:>12}",
            "unit", "site", "count", "sum", "min", "max"
        )?;
        for row in &self.aggregates {
            let (unit, site, count) = (row.unit, row.site, row.count);
            writeln!(out, "{unit:>6} {site:>6} {count:>10} {:>14} {:>12} {:>12}", row.sum, row.min, row.max)?;
        }
        Ok(())
    }

    fn write_counts(&self, out: &mut String) -> std::fmt::Result {
        if self.counts.is_empty() {
            return Ok(());
        }
        writeln!(out, "counts\n{:>6} {:>6} {:>14}", "unit", "site", "count")?;
        for row in &self.counts {
            writeln!(out, "{:>6} {:>6} {:>14}", row.unit, row.site, row.count)?;
        }
        Ok(())
    }

    /// Slices by track, indented by depth, begin relative to the unit's entry.
    fn write_slices(&self, out: &mut String) -> std::fmt::Result {
        if !self.slices.is_empty() {
            writeln!(out, "slices\n{:>6} {:>14} {:>12}  site", "track", "begin", "ticks")?;
        }
        for slice in self.slices.iter().take(SLICES_SHOWN) {
            let unit = self.tracks.get(slice.track as usize).map_or(0, |track| track.unit);
            let entry = self.units.get(unit as usize).map_or(0, |unit| unit.clock.begin_ticks);
            let (begin, ticks) = (slice.begin.saturating_sub(entry), slice.end - slice.begin);
            let indent = 2 * slice.depth.min(20) as usize;
            writeln!(out, "{:>6} {begin:>14} {ticks:>12}  {:indent$}{}", slice.track, "", slice.site)?;
        }
        if self.slices.len() > SLICES_SHOWN {
            writeln!(out, "… and {} more slices", self.slices.len() - SLICES_SHOWN)?;
        }
        if !self.counters.is_empty() {
            writeln!(out, "samples: {}", self.counters.len())?;
        }
        Ok(())
    }

    fn write_losses(&self, out: &mut String) -> std::fmt::Result {
        if !self.losses.any() {
            return writeln!(out, "losses: none");
        }
        let sentences = self.losses.sentences();
        writeln!(out, "losses: {}", sentences.join("; "))
    }
}

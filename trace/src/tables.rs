//! What records say once decoded: tracks, slices, counters and flows, and nothing else.

use crate::layout::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Decoded records of one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// How the sites recorded.
    pub mode: Mode,
    /// Calls of the kernel entry that the records cover.
    pub launches: u32,
    /// Clock of the run as a whole.
    pub clock: Clock,
    /// Execution units.
    pub units: Vec<Unit>,
    /// Non-empty aggregates by unit and site.
    pub aggregates: Vec<AggregateRow>,
    /// Non-zero execution counts by unit and site.
    pub counts: Vec<CountRow>,
    /// Words of the sites that own some, by unit and site, where not all of them are zero.
    pub words: Vec<WordsRow>,
    /// One track a unit, in unit order.
    pub tracks: Vec<Track>,
    /// Timed intervals, by track, in order of their beginning; an outer one before its inner ones.
    pub slices: Vec<Slice>,
    /// Sampled values.
    pub counters: Vec<Counter>,
    /// Links between slices. Nothing on the CPU emits one yet.
    pub flows: Vec<Flow>,
    /// What did not make it.
    pub losses: Losses,
}

/// Ticks and nanoseconds read together at two instants, so that the rate is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Ticks at the first instant.
    pub begin_ticks: u64,
    /// Ticks at the second.
    pub end_ticks: u64,
    /// Nanoseconds at the first instant.
    pub begin_ns: u64,
    /// Nanoseconds at the second.
    pub end_ns: u64,
}

/// One execution unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Unit number.
    pub id: u32,
    /// Core it began on.
    pub core: u32,
    /// Its clock between entry and exit.
    pub clock: Clock,
    /// Records it produced, dropped ones included.
    pub produced: u64,
    /// Records that did not fit.
    pub dropped: u64,
    /// On a GPU, the number of the launch that the warp was of.
    #[serde(default)]
    pub launch: u32,
    /// On a GPU, index of the warp in its block.
    #[serde(default)]
    pub warp: u32,
    /// On a GPU, linear index of the block in its grid.
    #[serde(default)]
    pub block: u64,
}

/// `{count, sum, min, max}` of one site in one unit, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateRow {
    /// Index into [`Trace::units`].
    pub unit: u32,
    /// Site id.
    pub site: u32,
    /// Intervals.
    pub count: u64,
    /// Sum of their lengths.
    pub sum: u64,
    /// Shortest.
    pub min: u64,
    /// Longest.
    pub max: u64,
}

/// Executions of one site in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountRow {
    /// Index into [`Trace::units`].
    pub unit: u32,
    /// Site id.
    pub site: u32,
    /// Executions.
    pub count: u64,
}

/// The words of one site in one unit. What they mean is the probe's matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordsRow {
    /// Index into [`Trace::units`].
    pub unit: u32,
    /// Site id.
    pub site: u32,
    /// As many as the site owns.
    pub words: Vec<u64>,
}

/// A line of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// Position in [`Trace::tracks`].
    pub id: u32,
    /// Index into [`Trace::units`].
    pub unit: u32,
    /// Label.
    pub name: String,
}

/// A timed interval on a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Track.
    pub track: u32,
    /// Site id.
    pub site: u32,
    /// Slices around it on the same track.
    pub depth: u32,
    /// Beginning, in ticks.
    pub begin: u64,
    /// End, in ticks; never before the beginning.
    pub end: u64,
}

/// A sampled value on a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Track.
    pub track: u32,
    /// Site id.
    pub site: u32,
    /// Clock of the last timed record before it, because a sample carries none, in ticks.
    pub at: u64,
    /// Low 32 bits of the value.
    pub value: u32,
}

/// A link from one slice to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Index into [`Trace::slices`].
    pub from: u32,
    /// Index into [`Trace::slices`].
    pub to: u32,
}

/// Records that did not make it into the tables. All zero means that nothing is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Losses {
    /// Records that did not fit their unit's buffer.
    pub dropped_records: u64,
    /// Units that lost records.
    pub units_with_drops: u32,
    /// Threads or warps that got no unit; all their records are missing.
    pub refused_units: u32,
    /// Regions whose end is missing, so that they are not among the slices.
    pub unclosed_regions: u64,
    /// Region ends whose beginning is missing.
    pub unopened_regions: u64,
    /// Records whose sequence bits do not fit their position.
    pub out_of_sequence: u64,
    /// Records of a kind no probe writes.
    pub unknown_records: u64,
    /// Clock readings a little earlier than the one before, taken as equal to it.
    pub reordered_clocks: u64,
    /// Clock readings later than the unit's exit clock, which no repair can place.
    pub impossible_clocks: u64,
    /// Records that name a site which is not there.
    #[serde(default)]
    pub unknown_sites: u64,
    /// Regions inside more open ones than [`crate::decode::MAX_DEPTH`].
    #[serde(default)]
    pub too_deep_regions: u64,
}

impl Losses {
    /// Adds the losses of another trace. A damaged cursor may claim any number, hence saturating.
    pub fn add(&mut self, other: &Self) {
        self.dropped_records = self.dropped_records.saturating_add(other.dropped_records);
        self.units_with_drops = self.units_with_drops.saturating_add(other.units_with_drops);
        self.refused_units = self.refused_units.saturating_add(other.refused_units);
        self.unclosed_regions = self.unclosed_regions.saturating_add(other.unclosed_regions);
        self.unopened_regions = self.unopened_regions.saturating_add(other.unopened_regions);
        self.out_of_sequence = self.out_of_sequence.saturating_add(other.out_of_sequence);
        self.unknown_records = self.unknown_records.saturating_add(other.unknown_records);
        self.reordered_clocks = self.reordered_clocks.saturating_add(other.reordered_clocks);
        self.impossible_clocks = self.impossible_clocks.saturating_add(other.impossible_clocks);
        self.unknown_sites = self.unknown_sites.saturating_add(other.unknown_sites);
        self.too_deep_regions = self.too_deep_regions.saturating_add(other.too_deep_regions);
    }

    /// Whether anything is missing.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl Losses {
    /// How many of each kind are missing.
    pub(crate) fn rows(&self) -> [(u64, &'static str); 11] {
        [
            (self.dropped_records, "records did not fit their buffer"),
            (u64::from(self.units_with_drops), "units lost records"),
            (u64::from(self.refused_units), "threads or warps got no unit, their records are missing"),
            (self.unclosed_regions, "regions have no end"),
            (self.unopened_regions, "region ends have no beginning"),
            (self.out_of_sequence, "records are out of sequence"),
            (self.unknown_records, "records are of an unknown kind"),
            (self.reordered_clocks, "clock readings came slightly out of order"),
            (self.impossible_clocks, "clock readings lie after the unit's exit"),
            (self.unknown_sites, "records name a site that is not there"),
            (self.too_deep_regions, "regions lie too deep inside others"),
        ]
    }

    /// What is missing, one sentence a kind; empty if nothing is.
    pub fn sentences(&self) -> Vec<String> {
        let missing = self.rows().into_iter().filter(|(count, _)| *count > 0);
        missing.map(|(count, what)| format!("{count} {what}")).collect()
    }
}

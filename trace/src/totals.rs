//! Totals by site over a record file of any size: how often, how long, shortest, longest.

use crate::decode::{Consumer, Head, StreamError, stream};
use crate::sites::{Place, ProbeSite, SiteTable};
use crate::tables::{AggregateRow, Clock, CountRow, Losses, Slice, Unit};
use crate::timescale::Timescale;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::io::{Read, Seek};

/// What a record file says in total.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Calls of the kernel entry that the records cover.
    pub launches: u32,
    /// Units: threads, on a CPU.
    pub units: u32,
    /// Time of all units from entry to exit, in ns; absent if no usable pair of clocks tells how long a tick is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub units_ns: Option<f64>,
    /// Sites that ran, in the order of their ids.
    pub sites: Vec<SiteTotals>,
    /// What did not make it.
    pub losses: Losses,
}

/// Totals of one site over all units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SiteTotals {
    /// Site id.
    pub site: u32,
    /// Probe that inserted it.
    pub probe: String,
    /// Label for people.
    pub name: String,
    /// Source position.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Intervals if it is timed, executions if it is counted.
    pub count: u64,
    /// Time in it; absent for a site that only counts, and where a tick's length is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<SiteTime>,
}

/// Time in one site, inner regions included, in ns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SiteTime {
    /// All intervals.
    pub total_ns: f64,
    /// Shortest one.
    pub min_ns: f64,
    /// Longest one.
    pub max_ns: f64,
    /// Mean.
    pub mean_ns: f64,
    /// Part of [`Totals::units_ns`], 0 to 1; more if a site is inside itself. Absent where that time is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub share: Option<f64>,
}

/// Reads the totals of the record file `input`, which belongs to `sites`.
///
/// # Errors
/// As [`stream`].
pub fn totals(input: impl Read + Seek, sites: &SiteTable) -> Result<Totals, StreamError<Infallible>> {
    let mut adder = Adder::new(sites);
    let losses = stream(input, sites, &mut adder)?;
    Ok(adder.finish(sites, losses))
}

/// Intervals of one site in one unit.
#[derive(Clone, Copy)]
struct Ticks {
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

impl Ticks {
    const NONE: Self = Self { count: 0, sum: 0, min: u64::MAX, max: 0 };

    /// Sums saturate: a damaged file may claim any number.
    #[inline]
    fn add(&mut self, count: u64, sum: u64, min: u64, max: u64) {
        self.count = self.count.saturating_add(count);
        self.sum = self.sum.saturating_add(sum);
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }
}

/// One site over the units so far.
#[derive(Clone, Copy)]
struct Row {
    intervals: u64,
    executions: u64,
    total_ns: f64,
    min_ns: f64,
    max_ns: f64,
    /// Intervals in units whose tick has no known length.
    untimed: u64,
}

impl Row {
    const NONE: Self =
        Self { intervals: 0, executions: 0, total_ns: 0.0, min_ns: f64::INFINITY, max_ns: 0.0, untimed: 0 };

    fn add(&mut self, ticks: &Ticks, ns_per_tick: Option<f64>) {
        self.intervals = self.intervals.saturating_add(ticks.count);
        let Some(rate) = ns_per_tick else {
            self.untimed = self.untimed.saturating_add(ticks.count);
            return;
        };
        self.total_ns += ticks.sum as f64 * rate;
        self.min_ns = self.min_ns.min(ticks.min as f64 * rate);
        self.max_ns = self.max_ns.max(ticks.max as f64 * rate);
    }

    fn count(&self) -> u64 {
        if self.intervals > 0 { self.intervals } else { self.executions }
    }

    fn time(&self, units_ns: Option<f64>) -> Option<SiteTime> {
        let (total_ns, min_ns, max_ns) = (self.total_ns, self.min_ns, self.max_ns);
        (self.intervals > 0 && self.untimed == 0).then(|| SiteTime {
            total_ns,
            min_ns,
            max_ns,
            mean_ns: total_ns / self.intervals as f64,
            share: units_ns.filter(|&ns| ns > 0.0).map(|ns| total_ns / ns),
        })
    }
}

/// Adds up a record file.
struct Adder {
    run: Clock,
    launches: u32,
    units: u32,
    units_ns: Option<f64>,
    /// The unit at hand, by site.
    unit: Vec<Ticks>,
    /// All units, by site.
    rows: Vec<Row>,
}

impl Adder {
    fn new(sites: &SiteTable) -> Self {
        let (run, count) = (Clock::default(), sites.sites.len());
        let (unit, rows) = (vec![Ticks::NONE; count], vec![Row::NONE; count]);
        Self { run, launches: 0, units: 0, units_ns: Some(0.0), unit, rows }
    }

    fn finish(self, sites: &SiteTable, losses: Losses) -> Totals {
        let ran = sites.sites.iter().zip(&self.rows).filter(|(_, row)| row.count() > 0);
        let site = |(site, row): (&ProbeSite, &Row)| SiteTotals {
            site: site.id,
            probe: site.probe.clone(),
            name: site.name.clone(),
            place: site.place.clone(),
            count: row.count(),
            time: row.time(self.units_ns),
        };
        let (launches, units, units_ns) = (self.launches, self.units, self.units_ns);
        Totals { launches, units, units_ns, sites: ran.map(site).collect(), losses }
    }
}

impl Consumer for Adder {
    type Error = Infallible;

    fn begin_file(&mut self, head: &Head) -> Result<(), Infallible> {
        (self.run, self.launches, self.units) = (head.clock, head.launches, head.units_used);
        Ok(())
    }

    fn aggregate(&mut self, row: AggregateRow) -> Result<(), Infallible> {
        if let Some(ticks) = self.unit.get_mut(row.site as usize) {
            ticks.add(row.count, row.sum, row.min, row.max);
        }
        Ok(())
    }

    fn count(&mut self, row: CountRow) -> Result<(), Infallible> {
        if let Some(total) = self.rows.get_mut(row.site as usize) {
            total.executions = total.executions.saturating_add(row.count);
        }
        Ok(())
    }

    #[inline]
    fn close(&mut self, slice: Slice) -> Result<(), Infallible> {
        if let Some(ticks) = self.unit.get_mut(slice.site as usize) {
            let length = slice.end - slice.begin;
            ticks.add(1, length, length, length);
        }
        Ok(())
    }

    fn end_unit(&mut self, unit: &Unit) -> Result<(), Infallible> {
        let rate = Timescale::new(&unit.clock, &self.run).map(|scale| scale.ns_per_tick());
        let span = unit.clock.end_ticks - unit.clock.begin_ticks;
        self.units_ns = self.units_ns.zip(rate).map(|(ns, rate)| ns + span as f64 * rate);
        for (total, ticks) in self.rows.iter_mut().zip(&mut self.unit) {
            if ticks.count > 0 {
                total.add(ticks, rate);
                *ticks = Ticks::NONE;
            }
        }
        Ok(())
    }
}

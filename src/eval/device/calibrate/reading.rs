//! From what the warps of the calibration kernels recorded to the cost of each kind of probe: pure arithmetic.

use crate::measure::median;
use kinstr_trace::{
    device::Launch,
    probe_costs::{CalibratedProbe, ProbeMemory},
    sites::{SiteKind, SiteTable},
    tables::Trace,
};
use std::collections::BTreeMap;

/// A kind of probe that times intervals, and the pair of kernels that tells what it costs.
struct Timing {
    probe: &'static str,
    kind: SiteKind,
    /// The kernel with less of what is timed, and the one with more.
    kernels: [&'static str; 2],
    /// Runs of the loop that the second launch of a kernel has more than the first.
    runs: f64,
    /// What is timed in a run of the first, over what the second has more of it.
    part: f64,
}

const STEPS: [&str; 2] = ["steps_less", "steps_more"];
/// As `calibration.mlir` has them.
const TIMINGS: [Timing; 4] = [
    Timing {
        probe: "loop-time",
        kind: SiteKind::Loop,
        kernels: STEPS,
        runs: 24.0 - 8.0,
        part: 100.0 / 300.0,
    },
    Timing {
        probe: "region-time",
        kind: SiteKind::Region,
        kernels: STEPS,
        runs: 24.0 - 8.0,
        part: 100.0 / 300.0,
    },
    Timing {
        probe: "barrier-wait",
        kind: SiteKind::Barrier,
        kernels: ["barrier_less", "barrier_more"],
        runs: 96.0 - 32.0,
        part: 1.0,
    },
    Timing {
        probe: "async-wait",
        kind: SiteKind::AsyncWait,
        kernels: ["wait_less", "wait_more"],
        runs: 96.0 - 32.0,
        part: 1.0,
    },
];
/// The kernel by whose launches the probe of whole kernels is calibrated: a short one.
const WHOLE: &str = "wait_less";
/// Depth of the loop that runs another one.
const OUTER: u32 = 1;

/// How full the SMs were: one warp, or all that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// One warp on the device.
    Lone,
    /// As many as the SMs hold.
    Full,
}

/// What one recording says, in ticks of the SMs' clocks: means over the warps that recorded.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// A warp's time in the first and the second launch of a kernel.
    kernels: BTreeMap<(String, Load), [f64; 2]>,
    /// An interval of a kind in a kernel, but for the loop that runs it.
    intervals: BTreeMap<(String, Load, SiteKind), f64>,
    /// A launch between its events, over the times that its blocks fill the SMs.
    launches: BTreeMap<(String, Load), f64>,
}

/// A sum and a number.
#[derive(Default, Clone, Copy)]
struct Mean(f64, f64);

impl Mean {
    fn add(&mut self, sum: f64, count: f64) {
        (self.0, self.1) = (self.0 + sum, self.1 + count);
    }

    fn value(self) -> f64 {
        self.0 / self.1
    }
}

impl Reading {
    /// Of a recording of a build with `sites`, on a device of `sm_count` SMs.
    pub fn of(trace: &Trace, sites: &SiteTable, launches: &[Launch], sm_count: u32) -> Self {
        let mut seen: BTreeMap<(&str, Load), usize> = BTreeMap::new();
        let by_number: BTreeMap<u32, (&str, Load, usize)> = launches
            .iter()
            .map(|launch| {
                let (kernel, load) = (launch.kernel.as_str(), load(launch));
                let place = seen.entry((kernel, load)).or_default();
                *place += 1;
                (launch.number, (kernel, load, *place - 1))
            })
            .collect();
        let launch_of = |unit: u32| by_number.get(&trace.units.get(unit as usize)?.launch).copied();
        let mut kernels: BTreeMap<(String, Load), [Mean; 2]> = BTreeMap::new();
        for unit in trace.units.iter().filter(|unit| unit.clock.end_ticks > unit.clock.begin_ticks) {
            if let Some((kernel, load, place)) = by_number.get(&unit.launch) {
                let ticks = unit.clock.end_ticks - unit.clock.begin_ticks;
                let both = kernels.entry(((*kernel).to_owned(), *load)).or_default();
                both[(*place).min(1)].add(ticks as f64, 1.0);
            }
        }
        let mut intervals: BTreeMap<(String, Load, SiteKind), Mean> = BTreeMap::new();
        let mut add = |unit: u32, site: u32, sum: u64, count: u64| {
            let Some(site) = sites.sites.get(site as usize) else { return };
            let is_outer = site.kind == SiteKind::Loop && site.loop_depth == OUTER;
            if let Some((kernel, load, _)) = launch_of(unit).filter(|_| !is_outer) {
                let mean = intervals.entry((kernel.to_owned(), load, site.kind)).or_default();
                mean.add(sum as f64, count as f64);
            }
        };
        for row in trace.aggregates.iter().filter(|row| row.count > 0) {
            add(row.unit, row.site, row.sum, row.count);
        }
        for slice in &trace.slices {
            let unit = trace.tracks.get(slice.track as usize).map_or(u32::MAX, |track| track.unit);
            add(unit, slice.site, slice.end - slice.begin, 1);
        }
        let ns_per_tick = trace.unit_ns_per_tick(0).unwrap_or(f64::NAN);
        Self {
            kernels: kernels.into_iter().map(|(key, both)| (key, both.map(Mean::value))).collect(),
            intervals: means(intervals),
            ..Self::of_launches(launches, sm_count, ns_per_tick)
        }
    }

    /// Of launches alone, at `ns_per_tick`.
    pub fn of_launches(launches: &[Launch], sm_count: u32, ns_per_tick: f64) -> Self {
        let mut all: BTreeMap<(String, Load), Mean> = BTreeMap::new();
        for launch in launches {
            let at_once = f64::from(launch.blocks_per_sm.max(1)) * f64::from(sm_count.max(1));
            let times = (launch.blocks() as f64 / at_once).max(1.0);
            if let Some(ns) = launch.device_ns {
                all.entry((launch.kernel.clone(), load(launch)))
                    .or_default()
                    .add(ns / ns_per_tick / times, 1.0);
            }
        }
        Self { launches: means(all), ..Self::default() }
    }

    /// Ticks of one of the `runs` runs that the second launch has more.
    fn run(&self, name: &str, load: Load, runs: f64) -> Result<f64, String> {
        let both = self.kernels.get(&(name.to_owned(), load));
        found(both.map(|[few, many]| (many - few) / runs), name)
    }

    fn interval(&self, name: &str, load: Load, kind: SiteKind) -> Result<f64, String> {
        found(self.intervals.get(&(name.to_owned(), load, kind)).copied(), name)
    }

    fn launch(&self, name: &str, load: Load) -> Result<f64, String> {
        found(self.launches.get(&(name.to_owned(), load)).copied(), name)
    }
}

fn load(launch: &Launch) -> Load {
    if launch.blocks() == 1 { Load::Lone } else { Load::Full }
}

fn means<K: Ord>(sums: BTreeMap<K, Mean>) -> BTreeMap<K, f64> {
    sums.into_iter().map(|(key, mean)| (key, mean.value())).collect()
}

fn found(ticks: Option<f64>, kernel: &str) -> Result<f64, String> {
    let told = ticks.filter(|ticks| ticks.is_finite());
    told.ok_or_else(|| format!("`{kernel}` of the calibration kernels recorded nothing"))
}

/// Recordings of the builds, as many of each.
pub struct Readings {
    /// Without probes: launches alone.
    pub clean: Vec<Reading>,
    /// Only whole kernels are timed.
    pub bare: Vec<Reading>,
    /// Loops are timed too; by where they record.
    pub loops: [(ProbeMemory, Vec<Reading>); 2],
    /// Regions and waits are; likewise.
    pub others: [(ProbeMemory, Vec<Reading>); 2],
}

impl Readings {
    /// What each kind of probe costs where an SM holds one warp, and where it holds `most_warps`.
    pub fn costs(&self, most_warps: u32) -> Result<Vec<CalibratedProbe>, String> {
        let mut rows = Vec::new();
        for (load, warps) in [(Load::Lone, 1), (Load::Full, most_warps)] {
            for timing in &TIMINGS {
                let builds = if timing.kind == SiteKind::Loop { &self.loops } else { &self.others };
                for (memory, readings) in builds {
                    rows.push(self.timing(timing, (*memory, readings), (load, warps))?);
                }
            }
            rows.push(self.whole(load, warps)?);
        }
        // What the report rests on first: a report that is too long loses the end of a list.
        rows.sort_by_key(|row| (row.memory == ProbeMemory::Global, row.warps == 1));
        Ok(rows)
    }

    fn timing(
        &self,
        timing: &Timing,
        (memory, readings): (ProbeMemory, &[Reading]),
        (load, warps): (Load, u32),
    ) -> Result<CalibratedProbe, String> {
        let [less, more] = timing.kernels;
        let (mut insides, mut arounds) = (Vec::new(), Vec::new());
        for (bare, reading) in self.bare.iter().zip(readings) {
            let run = bare.run(less, load, timing.runs)?;
            let work = (bare.run(more, load, timing.runs)? - run) * timing.part;
            insides.push(reading.interval(less, load, timing.kind)? - work);
            arounds.push(reading.run(less, load, timing.runs)? - run);
        }
        Ok(calibrated(timing.probe, timing.kind, memory, warps, &insides, &arounds))
    }

    /// The clocks of whole kernels are the first and the last that happens in one, so that nothing of the probe is in between.
    fn whole(&self, load: Load, warps: u32) -> Result<CalibratedProbe, String> {
        let mut arounds = Vec::new();
        for (clean, bare) in self.clean.iter().zip(&self.bare) {
            arounds.push(bare.launch(WHOLE, load)? - clean.launch(WHOLE, load)?);
        }
        Ok(calibrated("block-timeline", SiteKind::Kernel, ProbeMemory::Registers, warps, &[0.0], &arounds))
    }
}

/// Medians of the recordings, and how far they are apart. An interval may look shorter than what it times, because a loop is left while
/// its last step is still under way: that is no cost, but it hides as much of one. So does code that got faster by chance.
fn calibrated(
    probe: &str,
    kind: SiteKind,
    memory: ProbeMemory,
    warps: u32,
    insides: &[f64],
    arounds: &[f64],
) -> CalibratedProbe {
    let (inside, around) = (median(insides), median(arounds));
    CalibratedProbe {
        probe: probe.to_owned(),
        kind,
        memory,
        warps,
        inside_ticks: inside.max(0.0),
        inside_error_ticks: half_range(insides).max(-inside),
        around_ticks: around.max(inside).max(0.0),
        around_error_ticks: half_range(arounds).max(inside.max(0.0) - around),
    }
}

fn half_range(values: &[f64]) -> f64 {
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    ((high - low) / 2.0).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinstr_trace::tables::{AggregateRow, Clock, Unit};

    /// What every kernel reads where a step takes 10 ticks, a wait 20, and each interval of a probe 4 inside and 30 in all; `more` of all
    /// of it where SMs are full.
    fn reading(probed: bool, load: Load, more: f64) -> Reading {
        let mut reading = Reading::default();
        let probe = if probed { 30.0 } else { 0.0 };
        for (kernels, runs, works, kind) in [
            (STEPS, [8.0, 24.0], [1000.0, 4000.0], SiteKind::Region),
            (["barrier_less", "barrier_more"], [32.0, 96.0], [20.0, 40.0], SiteKind::Barrier),
            (["wait_less", "wait_more"], [32.0, 96.0], [20.0, 40.0], SiteKind::AsyncWait),
        ] {
            for (kernel, work) in kernels.into_iter().zip(works) {
                let key = (kernel.to_owned(), load);
                // What a kernel takes besides its runs, and more with probes in it.
                let besides = 700.0 + probe;
                reading
                    .kernels
                    .insert(key.clone(), runs.map(|runs| more * (runs * (work + probe) + besides)));
                reading.launches.insert(key, more * (500.0 + probe));
                reading.intervals.insert((kernel.to_owned(), load, kind), more * (work + 4.0));
            }
        }
        for (kernel, work) in STEPS.into_iter().zip([1000.0, 4000.0]) {
            reading.intervals.insert((kernel.to_owned(), load, SiteKind::Loop), more * (work + 4.0));
        }
        reading
    }

    fn both(probed: bool) -> Reading {
        let [lone, full] = [reading(probed, Load::Lone, 1.0), reading(probed, Load::Full, 3.0)];
        Reading {
            kernels: lone.kernels.into_iter().chain(full.kernels).collect(),
            intervals: lone.intervals.into_iter().chain(full.intervals).collect(),
            launches: lone.launches.into_iter().chain(full.launches).collect(),
        }
    }

    fn readings() -> Readings {
        let by_memory =
            || [ProbeMemory::Registers, ProbeMemory::Global].map(|memory| (memory, vec![both(true); 3]));
        Readings {
            clean: vec![both(false); 3],
            bare: vec![both(false); 3],
            loops: by_memory(),
            others: by_memory(),
        }
    }

    #[test]
    fn each_kind_costs_what_its_kernels_take_longer() {
        let costs = readings().costs(64).unwrap();
        assert_eq!(costs.len(), 2 * (4 * 2 + 1));
        for row in &costs {
            let more = if row.warps == 64 { 3.0 } else { 1.0 };
            let inside = if row.kind == SiteKind::Kernel { 0.0 } else { 4.0 };
            assert!((row.inside_ticks - inside * more).abs() < 1e-6, "{row:?}");
            // Two builds of the bare kernels are apart by the probe of the whole.
            let around = if row.kind == SiteKind::Kernel { 0.0 } else { 30.0 };
            assert!((row.around_ticks - around * more).abs() < 1e-6, "{row:?}");
        }
        assert_eq!(costs[0].memory, ProbeMemory::Registers);
    }

    #[test]
    fn a_kernel_that_recorded_nothing_is_named() {
        let mut without = readings();
        without.bare[1].kernels.remove(&("barrier_more".to_owned(), Load::Full));
        let why = without.costs(64).unwrap_err();
        assert!(why.contains("`barrier_more`"), "{why}");
    }

    #[test]
    fn what_is_hidden_behind_the_last_step_is_no_cost_but_an_error() {
        let of = |insides: &[f64], arounds: &[f64]| {
            calibrated("loop-time", SiteKind::Loop, ProbeMemory::Registers, 1, insides, arounds)
        };
        let found = of(&[-21.0, -20.0, -19.0], &[96.0, 96.0, 98.0]);
        assert_eq!((found.inside_ticks, found.inside_error_ticks), (0.0, 20.0));
        assert_eq!((found.around_ticks, found.around_error_ticks), (96.0, 1.0));
        let seen = of(&[4.0, 4.0, 5.0], &[30.0; 3]);
        assert_eq!((seen.inside_ticks, seen.inside_error_ticks, seen.around_ticks), (4.0, 0.5, 30.0));
        // Code cannot be faster for its probe, and what the interval includes is among what it adds.
        let faster = of(&[4.0; 3], &[-10.0; 3]);
        assert_eq!((faster.around_ticks, faster.around_error_ticks), (4.0, 14.0));
    }

    #[test]
    fn warps_are_read_by_the_launch_that_they_are_of() {
        let launch = |number, kernel: &str, blocks| Launch {
            number,
            kernel: kernel.into(),
            grid: [blocks, 1, 1],
            block: [32, 1, 1],
            blocks_per_sm: 2,
            device_ns: Some(1000.0),
            ..Launch::default()
        };
        let unit = |id, launch, ticks: u64| Unit {
            id,
            launch,
            clock: Clock { begin_ticks: 100, end_ticks: 100 + ticks, begin_ns: 0, end_ns: ticks / 2 },
            ..Unit::default()
        };
        let trace = Trace {
            units: vec![unit(0, 0, 200), unit(1, 1, 400), unit(2, 1, 600), unit(3, 2, 800)],
            aggregates: [(0, 8), (1, 10), (2, 30), (3, 20)]
                .map(|(unit, sum)| AggregateRow { unit, site: 0, count: 2, sum, min: 1, max: 20 })
                .into(),
            ..Trace::default()
        };
        let table = r#"{"mode": "aggregate", "sites": [{"id": 0, "probe": "barrier-wait", "kind": "barrier", "name": "b", "function": "k"}]}"#;
        let sites: SiteTable = serde_json::from_str(table).unwrap();
        let found =
            Reading::of(&trace, &sites, &[launch(0, "k", 1), launch(1, "k", 12), launch(2, "k", 12)], 2);
        assert_eq!(found.run("k", Load::Full, 10.0), Ok((800.0 - 500.0) / 10.0));
        assert!(found.run("k", Load::Lone, 10.0).is_err(), "it was launched once");
        assert_eq!(found.interval("k", Load::Full, SiteKind::Barrier), Ok(10.0));
        // Twelve blocks fill two SMs of two places three times; a tick is half a ns.
        assert!((found.launch("k", Load::Full).unwrap() - 2000.0 / 3.0).abs() < 1e-9);
        assert_eq!(found.launch("k", Load::Lone), Ok(2000.0));
    }
}

//! Ticks of a unit as nanoseconds since the beginning of the recording.

use crate::tables::Clock;

/// Maps ticks of one unit to time. The rate is measured: by the unit's own pair of clocks, else by the run's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timescale {
    begin_ticks: u64,
    /// Nanoseconds from the beginning of the recording to `begin_ticks`.
    offset_ns: f64,
    ns_per_tick: f64,
}

impl Timescale {
    /// Of a unit with clock `unit` in a run with clock `run`; `None` if neither tells how long a tick is.
    pub(crate) fn new(unit: &Clock, run: &Clock) -> Option<Self> {
        let (clock, ns_per_tick) = match unit.ns_per_tick() {
            Some(rate) => (unit, rate),
            None => (run, run.ns_per_tick()?),
        };
        let offset_ns = clock.begin_ns as f64 - run.begin_ns as f64;
        Some(Self { begin_ticks: clock.begin_ticks, offset_ns, ns_per_tick })
    }

    /// Ticks for nanoseconds, from the beginning of the recording: what is shown where no clock tells better.
    pub(crate) fn in_ticks(run: &Clock) -> Self {
        Self { begin_ticks: run.begin_ticks, offset_ns: 0.0, ns_per_tick: 1.0 }
    }

    /// Length of a tick in nanoseconds.
    pub(crate) fn ns_per_tick(&self) -> f64 {
        self.ns_per_tick
    }

    /// Nanoseconds from the beginning of the recording to `ticks`; what lies before it is at 0.
    #[inline]
    pub(crate) fn ns(&self, ticks: u64) -> u64 {
        // The difference is taken in integers, which keep the last tick of a clock that has run for months.
        let since = ticks.wrapping_sub(self.begin_ticks).cast_signed() as f64;
        (self.offset_ns + since * self.ns_per_tick) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tick_counts_after_months() {
        let begin_ticks = 1 << 60;
        let clock =
            Clock { begin_ticks, end_ticks: begin_ticks + 3000, begin_ns: 1 << 50, end_ns: (1 << 50) + 1000 };
        let scale = Timescale::new(&clock, &clock).unwrap();
        assert_eq!((scale.ns(begin_ticks + 3), scale.ns(begin_ticks + 6)), (1, 2));
        assert_eq!(scale.ns(begin_ticks - 9), 0);
    }

    #[test]
    fn a_unit_without_clocks_takes_the_rate_of_the_run() {
        let run = Clock { begin_ticks: 100, end_ticks: 200, begin_ns: 1000, end_ns: 1050 };
        let scale = Timescale::new(&Clock::default(), &run).unwrap();
        assert_eq!((scale.ns_per_tick(), scale.ns(120)), (0.5, 10));
        assert!(Timescale::new(&Clock::default(), &Clock::default()).is_none());
        assert_eq!(Timescale::in_ticks(&run).ns(120), 20);
    }
}

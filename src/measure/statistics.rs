//! Medians and their confidence, for times that are skewed and have outliers.

use kinstr_trace::report::{Estimate, Speedup};

/// Standard normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.959_964;

/// Median of `values`; NaN if there are none.
pub fn median(values: &[f64]) -> f64 {
    median_of_sorted(&sorted(values))
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// Median of `nanoseconds` with its 95 % confidence interval from order statistics: the number of
/// samples below the true median is binomial with p = ½, whatever the distribution of times is, so the
/// interval's ends are the samples n/2 ± z·√n/2 ranks from the middle (Conover, *Practical
/// Nonparametric Statistics*, 3.2).
pub(super) fn estimate(nanoseconds: &[f64]) -> Estimate {
    let sorted = sorted(nanoseconds);
    let (low, high) = median_ranks(sorted.len());
    let at = |rank: usize| sorted.get(rank).copied().unwrap_or(f64::NAN);
    Estimate {
        median_ns: median_of_sorted(&sorted),
        low_ns: at(low),
        high_ns: at(high),
        samples: sorted.len() as u64,
    }
}

/// Indices into `samples` sorted values that enclose the median with 95 % confidence; the extremes
/// if there are too few samples for that.
fn median_ranks(samples: usize) -> (usize, usize) {
    let half = samples as f64 / 2.0;
    let spread = Z95 * (samples as f64).sqrt() / 2.0;
    // The rank counts from 1, the index from 0.
    let low = ((half - spread).floor() - 1.0).max(0.0) as usize;
    (low, samples.saturating_sub(1).saturating_sub(low))
}

/// How surely the interval of a median encloses it where there are too few samples for 95 %: it is between the extremes
/// unless all lie on one side. `None` where there are enough.
pub fn attained_confidence(samples: usize) -> Option<f64> {
    let confidence = 1.0 - 0.5_f64.powi(i32::try_from(samples.saturating_sub(1)).unwrap_or(i32::MAX));
    (confidence < 0.95).then_some(confidence)
}

/// A value with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Half the interval's width as a fraction of the value.
    pub fn relative_half_width(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.value.abs()
    }
}

impl From<Interval> for Speedup {
    fn from(interval: Interval) -> Self {
        let Interval { value, low, high } = interval;
        Self { value, low, high }
    }
}

/// Ratio of times that were measured in turns, `over[i]` next to `under[i]`: the median of the rounds'
/// ratios with its 95 % interval, as in [`estimate`].
///
/// Not the ratio of the medians: on a shared machine times jump between levels, and the two medians can
/// come to lie on different ones, while within a round both are on the same.
pub(super) fn ratio(over: &[f64], under: &[f64]) -> Interval {
    let ratios: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
    let Estimate { median_ns, low_ns, high_ns, .. } = estimate(&ratios);
    Interval { value: median_ns, low: low_ns, high: high_ns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_samples() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_interval_encloses_the_median_and_narrows() {
        let samples: Vec<f64> = (0..1000).map(|index| f64::from(index % 100)).collect();
        let (few, many) = (estimate(&samples[..100]), estimate(&samples));
        assert!(few.low_ns <= few.median_ns && few.median_ns <= few.high_ns);
        assert!(many.high_ns - many.low_ns < few.high_ns - few.low_ns);
        let one = estimate(&[5.0]);
        assert_eq!((one.low_ns, one.high_ns, one.samples), (5.0, 5.0, 1));
    }

    #[test]
    fn ranks_match_the_binomial_table() {
        // For 100 samples the table gives the 40th and the 61st.
        assert_eq!(median_ranks(100), (39, 60));
        assert_eq!(median_ranks(3), (0, 2));
    }

    #[test]
    fn few_samples_enclose_the_median_less_surely() {
        assert_eq!(attained_confidence(1), Some(0.0));
        assert_eq!(attained_confidence(3), Some(0.75));
        assert_eq!(attained_confidence(5), Some(0.9375));
        assert_eq!(attained_confidence(6), None);
    }

    #[test]
    fn what_slows_both_down_cancels_in_the_ratio() {
        let under: Vec<f64> = (0..40).map(|round| if round % 3 == 0 { 300.0 } else { 100.0 }).collect();
        let over: Vec<f64> = under.iter().map(|time| 2.0 * time).collect();
        let ratio = ratio(&over, &under);
        assert_eq!((ratio.value, ratio.low, ratio.high), (2.0, 2.0, 2.0));
    }

    #[test]
    fn levels_that_the_medians_fall_between_do_not_bend_the_ratio() {
        // Both are slowed down threefold in half of the rounds, one of them in one round more.
        let under: Vec<f64> = (0..101).map(|round| if round < 50 { 300.0 } else { 100.0 }).collect();
        let over: Vec<f64> = (0..101).map(|round| if round < 51 { 300.0 } else { 100.0 }).collect();
        assert_eq!(median(&over) / median(&under), 3.0);
        assert_eq!(ratio(&over, &under).value, 1.0);
    }
}

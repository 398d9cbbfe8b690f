//! Cache misses from the times between touches of a line.
//!
//! A line is still in a cache of `n` lines if fewer than `n` others were touched since. How many others there were is
//! not recorded, but how long ago the touch was is; the expected number follows from the distribution of those
//! times alone (StatStack: Eklov and Hagersten, ISPASS 2010). The cache is taken to be fully associative with least
//! recently used replacement, so conflicts between addresses a power of two apart come on top. A launch is taken to follow
//! another: a first touch hits if all that a launch touches fits. Threads share the last cache alone: in any other there
//! are only the lines of one of them.

use crate::observed::{AGES, Accesses, LINE_BYTES, LineTouches};
use crate::peaks::BandwidthLevel;

/// Expected distinct lines between two touches of a line, by the logarithm of the accesses between them.
#[derive(Debug, Clone, PartialEq)]
pub struct StackDistances {
    /// Expected distinct lines within `2^n` accesses.
    expected: [f64; AGES + 1],
    /// Distinct lines of a launch, summed over the threads.
    footprint: f64,
}

/// A cache, as one thread finds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cache<'p> {
    /// Its name and size.
    pub level: &'p BandwidthLevel,
    /// Threads whose lines are in others of its kind: the part of the footprint that it holds is one in so many.
    pub apart: f64,
}

/// The caches among `levels`, nearest first, of `threads` threads with a core each: all levels but the last, which is
/// memory. The last cache is taken to be shared.
pub fn caches(levels: &[BandwidthLevel], threads: f64) -> Vec<Cache<'_>> {
    let caches = levels.split_last().map_or(&[][..], |(_, caches)| caches);
    let is_last = |index: usize| index + 1 == caches.len();
    let cache = |(index, level)| Cache { level, apart: if is_last(index) { 1.0 } else { threads.max(1.0) } };
    caches.iter().enumerate().map(cache).collect()
}

impl StackDistances {
    /// From the touches of all accesses together; `None` if no line was touched.
    pub fn of(accesses: &Accesses) -> Option<Self> {
        let touches: Vec<&LineTouches> = accesses.rows.iter().filter_map(|row| row.lines.as_ref()).collect();
        let mut later = [0.0; AGES];
        for lines in &touches {
            for (sum, count) in later.iter_mut().zip(&lines.again) {
                *sum += *count as f64;
            }
        }
        let first: f64 = touches.iter().map(|lines| lines.first as f64).sum();
        let total = first + later.iter().sum::<f64>();
        if total <= 0.0 {
            return None;
        }
        // Part of the touches whose line was last touched more than 2^n accesses ago.
        let mut surviving = 1.0;
        let mut expected = [1.0; AGES + 1];
        for age in 0..AGES {
            let next = (surviving - later[age] / total).max(0.0);
            let accesses = (1_u64 << age) as f64;
            // Ages are taken to be spread evenly over their class.
            expected[age + 1] = expected[age] + accesses * (surviving + next) / 2.0;
            surviving = next;
        }
        let footprint = accesses.per_launch(first);
        Some(Self { expected, footprint })
    }

    /// Misses of `lines` in `cache`.
    pub fn misses(&self, lines: &LineTouches, cache: Cache<'_>) -> f64 {
        let room = (cache.level.capacity_bytes / LINE_BYTES) as f64;
        // No more lines lie between two touches than there are.
        if self.footprint / cache.apart <= room {
            return 0.0;
        }
        let again =
            lines.again.iter().enumerate().map(|(age, count)| *count as f64 * self.missing(age, room));
        lines.first as f64 + again.sum::<f64>()
    }

    /// Part of class `age` that finds its line gone from a cache of `room` lines.
    fn missing(&self, age: usize, room: f64) -> f64 {
        let (near, far) = (self.expected[age], self.expected[age + 1]);
        if far <= room {
            return 0.0;
        }
        if near >= room { 1.0 } else { (far - room) / (far - near) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::AccessRow;
    use crate::sites::{AccessKind, AddressSource, Buffer};

    fn accesses(first: u64, ages: &[(usize, u64)]) -> Accesses {
        let mut again = vec![0; AGES];
        ages.iter().for_each(|(age, count)| again[*age] = *count);
        let row = AccessRow {
            name: "f:bb0.load0".into(),
            function: "f".into(),
            place: None,
            loop_depth: 1,
            buffer: Buffer::Argument(0),
            kind: AccessKind::Load,
            width: 4,
            indexed: false,
            address: AddressSource::Computed,
            executions: 0,
            strides: Default::default(),
            line_sharers: 0,
            lines: Some(LineTouches { first, again }),
        };
        Accesses { launches: 1, rows: vec![row], sample: None }
    }

    fn misses(accesses: &Accesses, capacity: u64) -> f64 {
        misses_of(accesses, capacity, 1.0)
    }

    fn misses_of(accesses: &Accesses, capacity_bytes: u64, apart: f64) -> f64 {
        let distances = StackDistances::of(accesses).unwrap();
        let level = level(capacity_bytes);
        distances.misses(accesses.rows[0].lines.as_ref().unwrap(), Cache { level: &level, apart })
    }

    fn level(capacity_bytes: u64) -> BandwidthLevel {
        let (name, rate) = (String::new(), 1e9);
        BandwidthLevel {
            name,
            capacity_bytes,
            read_bytes_per_s: rate,
            copy_bytes_per_s: rate,
            latency_ns: 1.0,
        }
    }

    #[test]
    fn threads_have_caches_of_their_own_but_the_last() {
        // 65536 lines of four threads: a quarter of them, 1 MiB, is what the cache of each must hold.
        let stream = accesses(65536, &[(0, 15 * 65536)]);
        assert_eq!(misses_of(&stream, 2 << 20, 4.0), 0.0);
        assert_eq!(misses_of(&stream, 2 << 20, 1.0), 65536.0);
        let levels = [1 << 15, 2 << 20, 1 << 25, 1 << 36].map(level);
        let apart: Vec<f64> = caches(&levels, 4.0).iter().map(|cache| cache.apart).collect();
        assert_eq!(apart, [4.0, 4.0, 1.0]);
    }

    #[test]
    fn a_stream_misses_once_a_line_and_only_where_it_does_not_fit() {
        // 65536 lines, sixteen elements each.
        let stream = accesses(65536, &[(0, 15 * 65536)]);
        assert_eq!(misses(&stream, 1 << 20), 65536.0);
        assert_eq!(misses(&stream, 32 << 20), 0.0);
    }

    #[test]
    fn walking_a_matrix_by_columns_misses_l1_on_every_access_and_l2_once_a_line() {
        // 2048 rows: a line comes back after 2048 accesses, 15 times of 16.
        let columns = accesses(1 << 18, &[(11, 15 << 18)]);
        assert!(misses(&columns, 32 << 10) > 15.9 * (1 << 18) as f64);
        assert_eq!(misses(&columns, 2 << 20), (1 << 18) as f64);
    }

    #[test]
    fn nothing_touched_is_no_distance() {
        assert_eq!(StackDistances::of(&accesses(0, &[])), None);
    }
}

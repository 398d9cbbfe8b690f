//! Calls that find their inputs changed and their outputs overwritten, held against calls in a row.
//!
//! A kernel that keeps results, or skips work that it finds done, is fast only in a row. Times are the only thing that shows it, and other programs on
//! the machine make times longer. So the shortest of many counts; and before a kernel is accused, calls in a row are timed once
//! more, in turns with the others, by as many calls: what slows down the ones slows down the others.

use super::failure::Stop;
use crate::{
    measure::median,
    worker::{Fault, fault::CandidateFault},
};
use std::time::Duration;

/// A call on renewed tensors may take this many times a call in a row: data-dependent work differs, and renewing large
/// tensors leaves others in the caches.
const COLD: f64 = 5.0;
/// And this much longer on top, in ns: changing the protection of inputs flushes their address translations.
const COLD_NS: f64 = 3_000.0;
/// The same for each further thread, which may have to be woken.
const COLD_THREAD_NS: f64 = 200_000.0;
/// Time for a batch of renewed calls: short enough that some are not disturbed.
const RENEWED_BATCH_NS: f64 = 1e6;
/// What renewing costs at least, in ns: system calls, and 5 GB/s of memory.
const RENEWING_NS: f64 = 5_000.0;
const RENEWING_NS_PER_BYTE: f64 = 0.2;
/// Batches before anything is believed, and before a kernel is suspected: disturbance only adds, so that the fastest
/// counts, and a busy machine disturbs most of them.
const LEAST_BATCHES: usize = 3;
const MOST_BATCHES: usize = 60;
/// Little disturbance makes each of some batches take this many times what is expected: the others need not be waited for.
const BLATANT: f64 = 300.0;
/// A ratio above this is worth a note, after some more batches. No verdict rests on it: caches and data may explain it.
const NOTED: f64 = 1.5;
const NOTED_BATCHES: usize = 12;
/// Rounds of calls of both kinds in turns, before a kernel is accused.
const ROUNDS: usize = 5;

/// What calls on renewed tensors took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Renewed {
    /// Shortest time of a call, in ns; the renewing, which is taken off, may blur it to nothing.
    pub ns: f64,
    /// How many times as long as a call in a row, if that is worth a note.
    pub noted: Option<f64>,
    /// So many times as long that work was skipped.
    pub skips: bool,
    /// How many times as long calls in a row take by now, where nothing else speaks for the kernel: it may be the machine, or a kernel that knows when
    /// it is looked at.
    pub slower: Option<f64>,
    /// A candidate in Python raised on inputs whose elements had moved.
    pub raised: bool,
}

/// What is timed, by the parent's clock.
pub trait Calls {
    /// `calls` calls on renewed tensors; without `call` the renewing alone.
    ///
    /// # Errors
    /// When not all return.
    fn renewed(&mut self, calls: u32, call: bool) -> Result<Duration, Fault>;

    /// `calls` calls in a row, on tensors as they are.
    ///
    /// # Errors
    /// When not all return.
    fn in_a_row(&mut self, calls: u32) -> Result<Duration, Fault>;
}

/// What is known of a call before.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Time of one in a row, in ns.
    pub in_a_row: f64,
    /// Bytes of all tensors.
    pub bytes: usize,
    /// Threads that it may have to wake, its own included.
    pub threads: u32,
}

impl Known {
    /// What renewing takes, in ns.
    fn renewing(self) -> f64 {
        RENEWING_NS + RENEWING_NS_PER_BYTE * self.bytes as f64
    }

    /// Calls of a batch.
    fn calls(self) -> u32 {
        (RENEWED_BATCH_NS / (self.in_a_row + self.renewing())).clamp(1.0, 1000.0) as u32
    }

    /// What a call may take that has `times` the work of one in a row.
    fn allowed(self, times: f64) -> f64 {
        times * self.in_a_row + COLD_NS + COLD_THREAD_NS * f64::from(self.threads.saturating_sub(1))
    }
}

/// Times calls on renewed tensors, until they are known to take no longer than they may, or too often took longer.
///
/// # Errors
/// When a call does not return.
pub fn time(calls: &mut impl Calls, known: Known) -> Result<Renewed, Stop> {
    let mut shortest = Shortest::new(known.calls());
    for batch in 1..=MOST_BATCHES {
        match shortest.look(calls) {
            // Moved inputs may be none of the problem's: a matrix that was symmetric no longer is.
            Err(Fault::Candidate(CandidateFault::Python(_))) => {
                return Ok(Renewed { raised: true, ..Renewed::default() });
            }
            looked => looked?,
        }
        let ns = shortest.ns();
        if batch >= LEAST_BATCHES && ns <= known.allowed(NOTED) {
            return Ok(Renewed { ns, ..Renewed::default() });
        }
        if batch >= NOTED_BATCHES && ns <= known.allowed(COLD) {
            return Ok(Renewed { ns, noted: Some(ns / known.in_a_row), ..Renewed::default() });
        }
        let expected = f64::from(shortest.calls) * (known.in_a_row + known.renewing());
        let is_blatant = shortest.with > BLATANT * expected.max(RENEWED_BATCH_NS) && ns > known.allowed(COLD);
        if batch >= LEAST_BATCHES && is_blatant {
            break;
        }
    }
    confirm(calls, known, shortest)
}

/// Times calls of both kinds in turns. Of those in a row the median counts: a kernel is accused only if most of them are as
/// fast as the rest is slow.
fn confirm(calls: &mut impl Calls, known: Known, mut shortest: Shortest) -> Result<Renewed, Stop> {
    let mut rows = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        shortest.look(calls)?;
        // The first call finds what renewing left, and has work to do in any case.
        calls.in_a_row(1)?;
        let (row, request) = (calls.in_a_row(shortest.calls)?, calls.in_a_row(0)?);
        rows.push(row.saturating_sub(request).as_nanos() as f64 / f64::from(shortest.calls));
    }
    let (ns, row) = (shortest.ns(), median(&rows));
    let noted = Some(ns / known.in_a_row);
    let by_now = Known { in_a_row: row.max(known.in_a_row), ..known };
    Ok(if ns <= known.allowed(COLD) {
        Renewed { ns, noted, ..Renewed::default() }
    } else if ns <= by_now.allowed(COLD) {
        Renewed { ns, slower: Some(row / known.in_a_row), ..Renewed::default() }
    } else {
        Renewed { ns, skips: true, ..Renewed::default() }
    })
}

/// The shortest batches so far, in ns: with calls, and of the renewing alone.
struct Shortest {
    calls: u32,
    with: f64,
    without: f64,
}

impl Shortest {
    fn new(calls: u32) -> Self {
        Self { calls, with: f64::INFINITY, without: f64::INFINITY }
    }

    fn look(&mut self, calls: &mut impl Calls) -> Result<(), Fault> {
        self.with = self.with.min(calls.renewed(self.calls, true)?.as_nanos() as f64);
        self.without = self.without.min(calls.renewed(self.calls, false)?.as_nanos() as f64);
        Ok(())
    }

    /// Of a call.
    fn ns(&self) -> f64 {
        (self.with - self.without) / f64::from(self.calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel on a machine, both as they might be.
    struct Machine {
        /// Time of a call that has work to do, and of one that finds it done.
        works: f64,
        idles: f64,
        /// What others on the machine add to a call, by batch.
        disturbs: fn(usize) -> f64,
        batches: usize,
    }

    /// A µs of work on a machine that does nothing else.
    const QUIET: Machine = Machine { works: 1_000.0, idles: 1_000.0, disturbs: |_| 0.0, batches: 0 };

    impl Machine {
        fn batch(&mut self, calls: u32, ns: f64) -> Duration {
            self.batches += 1;
            Duration::from_nanos((f64::from(calls) * (ns + (self.disturbs)(self.batches))) as u64)
        }

        fn judged(mut self) -> (Renewed, usize) {
            let known = Known { in_a_row: self.idles, bytes: 8_000, threads: 2 };
            (time(&mut self, known).unwrap(), self.batches)
        }
    }

    impl Calls for Machine {
        fn renewed(&mut self, calls: u32, call: bool) -> Result<Duration, Fault> {
            let works = if call { self.works } else { 0.0 };
            // Renewing is one thread's affair, which waits for nobody.
            Ok(if call { self.batch(calls, works + 5_000.0) } else { Duration::from_micros(5) * calls })
        }

        fn in_a_row(&mut self, calls: u32) -> Result<Duration, Fault> {
            let idles = self.idles;
            Ok(self.batch(calls, idles))
        }
    }

    #[test]
    fn a_kernel_that_works_on_every_call_is_believed_at_once() {
        let (judged, batches) = QUIET.judged();
        assert_eq!((judged.noted, judged.skips, judged.slower), (None, false, None));
        assert_eq!(batches, LEAST_BATCHES);
    }

    #[test]
    fn a_kernel_that_keeps_results_is_accused() {
        assert!(Machine { works: 400_000.0, idles: 50.0, ..QUIET }.judged().0.skips);
        let (blatant, batches) = Machine { works: 9e6, idles: 50.0, ..QUIET }.judged();
        assert!(blatant.skips && batches < MOST_BATCHES);
        // Nor does a machine save it that disturbs less than half of its calls in a row.
        let busy = |batch: usize| if batch.is_multiple_of(3) { 1e6 } else { 0.0 };
        assert!(Machine { works: 400_000.0, idles: 50.0, disturbs: busy, ..QUIET }.judged().0.skips);
    }

    #[test]
    fn a_machine_that_is_overloaded_for_minutes_accuses_nobody() {
        // It was quiet only when calls in a row were timed: each call waits until its other thread has a turn.
        let (judged, _) = Machine { disturbs: |_| 4e6, ..QUIET }.judged();
        assert_eq!((judged.skips, judged.slower), (false, Some(4_001.0)));
        let (judged, _) = Machine { disturbs: |batch| if batch < 70 { 4e6 } else { 0.0 }, ..QUIET }.judged();
        assert!(!judged.skips, "{judged:?}");
        let (judged, _) = Machine { disturbs: |batch| if batch < 10 { 5e5 } else { 0.0 }, ..QUIET }.judged();
        assert_eq!((judged.skips, judged.slower), (false, None));
    }

    #[test]
    fn who_works_in_a_row_only_while_it_is_looked_at_has_that_time() {
        struct Wary(bool);
        impl Calls for Wary {
            fn renewed(&mut self, calls: u32, call: bool) -> Result<Duration, Fault> {
                self.0 = true;
                Ok(Duration::from_micros(if call { 400 } else { 5 }) * calls)
            }

            fn in_a_row(&mut self, calls: u32) -> Result<Duration, Fault> {
                Ok(if self.0 { Duration::from_micros(400) * calls } else { Duration::from_nanos(50) * calls })
            }
        }
        let judged = time(&mut Wary(false), Known { in_a_row: 50.0, bytes: 8_000, threads: 1 }).unwrap();
        assert_eq!((judged.skips, judged.slower), (false, Some(8_000.0)));
    }
}

//! `loop-time`: how long each loop of the optimised code takes, and how many trips it makes.
//!
//! ## What it measures
//! The time from entering to leaving each natural loop of the optimised code, how often it is entered, and its trips in
//! all. A trip is one of the machine's: of a loop that was vectorised by 16, it covers 16 iterations of the source, and
//! the loop over the remainder is a site of its own.
//!
//! ## How
//! On optimised LLVM IR, whose loops have an entering block and exit blocks of their own: the clock is read at the end of
//! the one and at the head of the others. Trips follow from an induction variable with a constant step where the loop
//! has one and is left at its end, so that its body pays nothing; else its header is counted. Where the loop is left as
//! soon as the variable is at a bound, or beyond one that it began below, they follow from that, and the variable is not
//! even looked at: one more use of it can change how code generation walks through memory and allots registers, which has
//! cost 70 %, and keeps `ptxas` from unrolling. Cycles with
//! several entries are left out, and the site table says so.
//!
//! ## Cost
//! Two clock reads, one update of 32 bytes and one increment per entering; on x86-64 the clock is `rdtscp; lfence`. A
//! loop without a plain induction variable also pays one memory increment a trip. An evaluation leaves out loops that
//! are too dear for its overhead budget.
//!
//! ## Records
//! Aggregate mode: count, sum, min and max of the time in ticks; the site's counter has the trips. Trace mode: a begin
//! and an end record; trips that follow from an induction variable in the counter, others as records.

use crate::{
    ir::{body, first_place, is_device, operations, symbol},
    loops::{Induction, Loop, Loops},
    probe::{Insertion, Level, NewSite, Perturbation, Probe, ProbeError},
};
use kinstr_dialects::{
    nesting::Nesting,
    ops::{BuildError, Builder},
};
use kinstr_trace::sites::SiteKind;
use melior::ir::{BlockLike, Operation, OperationRef};

/// The probe.
pub struct LoopTime;

/// The probe, for the registry.
pub const PROBE: LoopTime = LoopTime;

impl Probe for LoopTime {
    fn name(&self) -> &'static str {
        "loop-time"
    }
    fn source(&self) -> &'static str {
        include_str!("loop_time.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Timing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        let functions = insertion.optimized_functions(self.name())?;
        let nesting = Nesting::of(insertion.module().as_operation())?;
        let mut found = 0;
        for function in functions {
            let Some(region) = body(function) else { continue };
            let loops = Loops::of(region);
            found += loops.loops.len() + loops.irreducible_edges + loops.not_simplified;
            let name = symbol(function);
            let mut crossing = 0;
            for (index, natural) in loops.loops.iter().enumerate() {
                if crosses_a_region(&nesting, natural) {
                    crossing += 1;
                } else {
                    surround(insertion, function, index, natural)?;
                }
            }
            leave_out(insertion, &name, loops.irreducible_edges, "cycles with several entries");
            leave_out(insertion, &name, loops.not_simplified, "loops whose borders they share with other code");
            leave_out(insertion, &name, crossing, "loops that a timed region begins or ends in");
        }
        if found > 0 {
            return Ok(());
        }
        let reason = "the optimised code has no loop";
        Err(ProbeError::NothingToWatch { probe: self.name(), reason })
    }
}

/// True if other regions are open where the loop is left than where it is entered: the optimiser moved a border.
fn crosses_a_region(nesting: &Nesting, natural: &Loop<'_, '_>) -> bool {
    let entered = nesting.at_head(natural.header);
    natural.exits.iter().any(|exit| nesting.at_head(*exit) != entered)
}

fn leave_out(insertion: &mut Insertion<'_, '_>, function: &str, count: usize, what: &str) {
    if count > 0 {
        insertion.leave_out(format!("loop-time leaves out {count} {what} in `{function}`"));
    }
}

fn surround<'c>(
    insertion: &mut Insertion<'_, 'c>,
    function: OperationRef<'c, '_>,
    index: usize,
    natural: &Loop<'c, '_>,
) -> Result<(), ProbeError> {
    let name = symbol(function);
    let label = format!("{name}:loop{index}");
    let site = NewSite::timed(PROBE.name(), SiteKind::Loop, label, name, natural.place.clone());
    let counts_trips = natural.induction.is_none();
    let site = insertion.add_chosen_site(NewSite { loop_depth: natural.depth, counts_trips, ..site });
    let Some(site) = site else { return Ok(()) };
    let induction = natural.induction.as_ref();
    // On a GPU trips stay in a register until the end: they are counted behind the loop, where its own are free again.
    let before = |induction: &&Induction<'c, '_>| induction.known_at_entry && !is_device(insertion.module());
    let (before, behind) = (induction.filter(before), induction.filter(|induction| !before(induction)));
    if let Some(enter) = operations(natural.preheader).last() {
        let builder = insertion.builder(enter);
        if let Some(known) = before {
            natural.preheader.insert_operation_before(enter, count_trips(builder, site, known)?);
        }
        natural.preheader.insert_operation_before(enter, builder.region_begin(site)?);
    }
    for exit in &natural.exits {
        let Some((position, first)) = first_place(*exit) else { continue };
        let builder = insertion.builder(first);
        if let Some(induction) = behind {
            exit.insert_operation(position, count_trips(builder, site, induction)?);
        }
        exit.insert_operation(position, builder.region_end(site)?);
    }
    if let (None, Some((position, first))) = (&natural.induction, first_place(natural.header)) {
        natural.header.insert_operation(position, insertion.builder(first).count(site)?);
    }
    insertion.open_function(function)
}

fn count_trips<'c>(
    builder: Builder<'c>,
    site: u32,
    induction: &Induction<'c, '_>,
) -> Result<Operation<'c>, BuildError> {
    builder.count_trips(site, induction.step, induction.first, induction.last)
}

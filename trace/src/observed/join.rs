//! The join of counters and words with what the passes know of each site.

use super::{
    AGES, AccessRow, Accesses, BranchRow, Branches, LINE_BYTES, LineSample, LineTouches, STRIDE_WORDS,
    Strides,
};
use crate::sites::{AccessFact, AddressSource, ProbeSite, SiteKind, SiteTable};
use crate::tables::Trace;
use std::collections::BTreeMap;

const _: () = assert!(LINE_BYTES == 64 && STRIDE_WORDS == 8 && AGES == 32);

impl Accesses {
    /// What the accesses among `sites` did, or `None` if there is no access among them.
    pub fn of(trace: &Trace, sites: &SiteTable) -> Option<Self> {
        let mut rows: Vec<AccessRow> = Vec::new();
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for site in sites.sites.iter().filter(|site| site.kind == SiteKind::Access) {
            let Some(fact) = site.lines.iter().find_map(|line| line.memory.first()) else { continue };
            // Both probes name the same access alike.
            let row = *known.entry(&site.name).or_insert_with(|| {
                rows.push(row_of(site, fact));
                rows.len() - 1
            });
            add_site(&mut rows[row], site, trace);
        }
        let table = sites.sites.iter().find(|site| site.kind == SiteKind::Lines);
        let sample = table.map(|table| sample_of(table, trace));
        (!rows.is_empty()).then_some(Self { launches: trace.launches, rows, sample })
    }
}

fn row_of(site: &ProbeSite, fact: &AccessFact) -> AccessRow {
    let lanes = if fact.indexed { fact.lanes.max(1) } else { 1 };
    AccessRow {
        name: site.name.clone(),
        function: site.function.clone(),
        place: site.place.clone(),
        loop_depth: site.loop_depth,
        buffer: fact.buffer.clone(),
        kind: fact.kind,
        width: fact.bytes / lanes,
        indexed: fact.indexed,
        address: fact.address.unwrap_or(AddressSource::Computed),
        executions: 0,
        strides: Strides::default(),
        line_sharers: 0,
        lines: None,
    }
}

/// Adds what all units recorded at `site`: strides or touches, by the number of its words.
fn add_site(row: &mut AccessRow, site: &ProbeSite, trace: &Trace) {
    let count = counts(trace, site);
    let words = trace.words.iter().filter(|words| words.site == site.id);
    if site.words == STRIDE_WORDS {
        row.executions = row.executions.saturating_add(count);
        let last: Vec<u64> = words.clone().filter_map(|words| words.words.first().copied()).collect();
        row.line_sharers = line_sharers(&last);
        words.for_each(|words| row.strides.add(&words.words));
    } else {
        let lines = row.lines.get_or_insert_with(|| LineTouches { first: 0, again: vec![0; AGES] });
        words.for_each(|words| lines.add(&words.words));
    }
}

/// How many of the threads' `last` addresses are on the line of another one, and not the same.
fn line_sharers(last: &[u64]) -> u32 {
    let shares = |a: &&u64| last.iter().any(|b| **a != *b && **a / LINE_BYTES == b / LINE_BYTES);
    last.iter().filter(|address| **address != 0).filter(shares).count() as u32
}

impl Strides {
    fn add(&mut self, words: &[u64]) {
        let [_, _, same, unit, line, page, beyond, regular] = words else { return };
        // A thread's first address has no predecessor: its distance from zero counted as one of the last class.
        let beyond = beyond.saturating_sub(1);
        let sums = [
            (&mut self.same, *same),
            (&mut self.unit, *unit),
            (&mut self.line, *line),
            (&mut self.page, *page),
            (&mut self.beyond, beyond),
            (&mut self.regular, *regular),
        ];
        for (sum, value) in sums {
            *sum = sum.saturating_add(value);
        }
    }
}

impl LineTouches {
    fn add(&mut self, words: &[u64]) {
        let Some((first, again)) = words.split_first() else { return };
        self.first = self.first.saturating_add(*first);
        for (sum, value) in self.again.iter_mut().zip(again) {
            *sum = sum.saturating_add(*value);
        }
    }
}

fn sample_of(table: &ProbeSite, trace: &Trace) -> LineSample {
    let mut sample = LineSample { touches: 0, one_in: 1 };
    for words in trace.words.iter().filter(|words| words.site == table.id) {
        let [touches, _, halvings, ..] = words.words[..] else { continue };
        sample.touches = sample.touches.saturating_add(touches);
        let one_in = u32::try_from(halvings).ok().and_then(|halvings| 1_u64.checked_shl(halvings));
        sample.one_in = sample.one_in.max(one_in.unwrap_or(u64::MAX));
    }
    sample
}

impl Branches {
    /// What the branches among `sites` did, or `None` if there is none among them.
    pub fn of(trace: &Trace, sites: &SiteTable) -> Option<Self> {
        let branches =
            sites.sites.iter().filter(|site| matches!(site.kind, SiteKind::Branch | SiteKind::Switch));
        let rows: Vec<_> = branches.map(|site| branch(site, trace)).collect();
        (!rows.is_empty()).then_some(Self { launches: trace.launches, rows })
    }
}

fn branch(site: &ProbeSite, trace: &Trace) -> BranchRow {
    let switch = site.kind == SiteKind::Switch;
    let mut row = BranchRow {
        name: site.name.clone(),
        place: site.place.clone(),
        loop_depth: site.loop_depth,
        switch,
        executions: counts(trace, site),
        taken: 0,
        transitions: 0,
        mispredictions: 0,
    };
    for words in trace.words.iter().filter(|words| words.site == site.id) {
        let (taken, transitions, mispredictions) = match words.words[..] {
            [_, transitions] => (0, transitions, transitions),
            [taken, transitions, _, mispredictions, ..] => (taken, transitions, mispredictions),
            _ => continue,
        };
        row.taken = row.taken.saturating_add(taken);
        row.transitions = row.transitions.saturating_add(transitions);
        row.mispredictions = row.mispredictions.saturating_add(mispredictions);
    }
    row
}

fn counts(trace: &Trace, site: &ProbeSite) -> u64 {
    let rows = trace.counts.iter().filter(|row| row.site == site.id);
    rows.fold(0, |sum, row| sum.saturating_add(row.count))
}

//! Builds record files as an instrumented kernel writes them.
#![allow(dead_code, clippy::unwrap_used)]

use kinstr_trace::layout::*;
use kinstr_trace::sites::*;

pub const ENTRY: u64 = 0x7_ffff_0000;
pub const EXIT: u64 = ENTRY + (3 << 32);

/// Sites 0 and 1 are regions, 2 and 3 blocks.
pub fn sites(mode: Mode) -> SiteTable {
    let site = |id: u32, name: &str, kind| ProbeSite {
        id,
        probe: if kind == SiteKind::Region { "region-time" } else { "block-count" }.to_owned(),
        kind,
        name: name.to_owned(),
        function: "kernel".to_owned(),
        place: Some(Place { file: "kernel.mlir".to_owned(), line: 10 + id, column: 3 }),
        loop_depth: 0,
        parent: None,
        counts_trips: false,
        words: if id == 3 { 2 } else { 0 },
        lines: vec![],
    };
    let sites = vec![
        site(0, "outer", SiteKind::Region),
        site(1, "inner", SiteKind::Region),
        site(2, "kernel:entry", SiteKind::Block),
        site(3, "kernel:body", SiteKind::Block),
    ];
    SiteTable { mode, sites, left_out: vec![] }
}

#[derive(Clone)]
pub struct RecordFile {
    pub sites: SiteTable,
    pub keep: Keep,
    pub capacity: u64,
    pub launches: u32,
    pub refused: u32,
    pub units: Vec<UnitData>,
}

#[derive(Clone, Default)]
pub struct UnitData {
    pub aggregates: Vec<(u32, [u64; 4])>,
    pub counters: Vec<(u32, u64)>,
    pub words: Vec<(u64, u64)>,
    pub records: Vec<ProbeRecord>,
}

impl RecordFile {
    pub fn new(mode: Mode, capacity: u64, units: Vec<UnitData>) -> Self {
        Self { sites: sites(mode), keep: Keep::First, capacity, launches: 1, refused: 0, units }
    }

    /// The same run, recorded into rings.
    pub fn ring(capacity: u64, units: Vec<UnitData>) -> Self {
        Self { keep: Keep::Last, ..Self::new(Mode::Trace, capacity, units) }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let count = self.sites.sites.len() as u32;
        let stride = offset::unit_stride(count, self.sites.word_count(), self.capacity);
        let mut bytes = vec![0; (STATE_BYTES + stride * self.units.len() as u64) as usize];
        let used = self.units.len() as u32;
        bytes[..8].copy_from_slice(&MAGIC);
        put(&mut bytes, 24, stride);
        put32(&mut bytes, 32, used);
        put32(&mut bytes, 36, used);
        put32(&mut bytes, 40, self.refused);
        put32(&mut bytes, 44, count);
        put(&mut bytes, 48, self.capacity);
        put32(&mut bytes, 56, mode_number(self.sites.mode, self.keep));
        put32(&mut bytes, 60, self.launches);
        clocks(&mut bytes, 64);
        put(&mut bytes, 128, self.sites.word_count());
        bytes[96..128].copy_from_slice(&self.sites.digest().unwrap());
        for (index, unit) in self.units.iter().enumerate() {
            let start = (STATE_BYTES + stride * index as u64) as usize;
            unit.write(&mut bytes[start..start + stride as usize], index as u32, count, self);
        }
        bytes
    }
}

impl UnitData {
    fn write(&self, bytes: &mut [u8], index: u32, sites: u32, file: &RecordFile) {
        let (capacity, mask) = (file.capacity, record_mask(file.keep, file.capacity));
        put32(bytes, 0, index);
        put32(bytes, 4, 5);
        for (at, value) in [(8, ENTRY), (16, EXIT), (24, 1_000), (32, 1_000 + (EXIT - ENTRY) / 3)] {
            put(bytes, at, value);
        }
        put(bytes, offset::CURSOR as usize, self.records.len() as u64);
        put(bytes, offset::RECORD_CAPACITY as usize, capacity);
        put(bytes, offset::RECORD_MASK as usize, mask);
        for (site, fields) in &self.aggregates {
            for (field, value) in fields.iter().enumerate() {
                put(bytes, offset::aggregate(*site) as usize + 8 * field, *value);
            }
        }
        for (site, count) in &self.counters {
            put(bytes, offset::counter(*site, sites) as usize, *count);
        }
        for (number, word) in &self.words {
            put(bytes, (offset::words(sites) + 8 * number) as usize, *word);
        }
        // As the generated code stores it, the spare slot included.
        for (number, record) in (0_u64..).zip(&self.records).filter(|_| capacity > 0) {
            let slot = (number & mask).min(capacity);
            put(bytes, (offset::records(sites, file.sites.word_count()) + 8 * slot) as usize, record.0);
        }
    }
}

/// Ticks from entry to exit at 3 ticks a nanosecond.
fn clocks(bytes: &mut [u8], at: usize) {
    let pairs = [ENTRY, EXIT, 1_000, 1_000 + (EXIT - ENTRY) / 3];
    for (index, value) in pairs.into_iter().enumerate() {
        put(bytes, at + 8 * index, value);
    }
}

pub fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Records of (kind, site, 64-bit clock), numbered from 0.
pub fn records(events: &[(RecordKind, u32, u64)]) -> Vec<ProbeRecord> {
    let record = |(number, &(kind, site, clock)): (usize, &(RecordKind, u32, u64))| {
        ProbeRecord::new(clock as u32, site, kind, number as u8)
    };
    events.iter().enumerate().map(record).collect()
}

/// Two nested regions whose clock wraps inside, then a count and a sample.
pub fn nested() -> UnitData {
    use RecordKind::*;
    let wrapped = ENTRY + (1 << 31);
    let events = [
        (RegionBegin, 0, ENTRY + 100),
        (RegionBegin, 1, ENTRY + 200),
        (RegionEnd, 1, wrapped + 150),
        (RegionBegin, 1, wrapped + 300),
        (RegionEnd, 1, wrapped + 390),
        (RegionEnd, 0, wrapped + 400),
        (Count, 3, 0),
        (Sample, 2, 77),
    ];
    UnitData { records: records(&events), ..UnitData::default() }
}

//! How fast record files are read, and in how much memory: on files that are written here and look like a kernel of
//! nested loops on several threads. Run by `scripts/bench`; asserts nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may panic")]
#![allow(missing_docs, reason = "a bench has no users")]

use kinstr_trace::{
    decode::decode,
    device::{DeviceInputs, DeviceRecords, DeviceTable, Launch},
    layout::{Keep, MAGIC, Mode, ProbeRecord, RecordKind, STATE_BYTES, mode_number, offset},
    perfetto,
    sites::{Place, ProbeSite, SiteKind, SiteTable},
    totals::totals,
};
use std::{
    fs::File,
    io::{self, BufWriter, Cursor, Write},
    path::Path,
    process::Command,
    time::Duration,
};

/// Bytes of records for the rates, and for the memory.
const SMALL: u64 = 512 << 20;
const LARGE: u64 = 4 << 30;
const UNITS: u32 = 4;
const SITES: u32 = 16;
const REPEATS: usize = 5;
/// Asks this program to read one file and say how much memory that took.
const READ: &str = "--read";
/// Asks this program for what warps cost, and for nothing else.
const WARPS_ALONE: &str = "--warps";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, read, path] = arguments.as_slice()
        && read == READ
    {
        return read_alone(path);
    }
    if arguments.iter().any(|argument| argument == WARPS_ALONE) {
        return report_warps();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.krec");
    let records = write_file(&path, SMALL);
    let sites = sites();
    let time = least(|| {
        let totals = totals(File::open(&path).unwrap(), &sites).unwrap();
        assert!(!totals.losses.any() && totals.sites.len() == SITES as usize);
    });
    report("decode-aggregate", records, time);
    let time = least(|| {
        perfetto::write(File::open(&path).unwrap(), &sites, io::sink()).unwrap();
    });
    report("perfetto", records, time);
    report_warps();
    write_file(&path, LARGE);
    let output = Command::new(std::env::current_exe().unwrap()).arg(READ).arg(&path).output().unwrap();
    print!("{}", String::from_utf8(output.stdout).unwrap());
}

fn report(what: &str, records: u64, time: Duration) {
    println!("{what} {records} records {:.1} M/s", records as f64 / time.as_secs_f64() / 1e6);
}

/// What a launch of [`WARPS`] warps costs once its records are here: as totals, as tables, and as the table of a GPU.
fn report_warps() {
    let bytes = warps_file();
    let sites = warp_sites();
    let launch = Launch {
        kernel: "kernel".into(),
        grid: [WARPS / 8, 1, 1],
        block: [256, 1, 1],
        units: WARPS,
        ..Launch::default()
    };
    let launches = [launch];
    let often = |work: &dyn Fn()| least(|| (0..TIMES).for_each(|_| work()));
    let added = often(&|| assert_eq!(totals(Cursor::new(&bytes), &sites).unwrap().units, WARPS));
    let decoded = often(&|| assert_eq!(decode(&bytes, &sites).unwrap().units.len(), WARPS as usize));
    let trace = decode(&bytes, &sites).unwrap();
    let built = often(&|| {
        let timing = Some(DeviceRecords { trace: &trace, sites: &sites, launches: &launches });
        let inputs = DeviceInputs { calls: 1, launches: &launches, timing, ..DeviceInputs::default() };
        assert_eq!(DeviceTable::build(&inputs).kernels.len(), 1);
    });
    for (what, time) in [("warps-aggregate", added), ("warps-decode", decoded), ("warps-table", built)] {
        println!("{what} {WARPS} warps {:.2} ms", time.as_secs_f64() * 1e3 / f64::from(TIMES));
    }
}

/// What takes a few milliseconds is done this often to be timed: processor time is told by the scheduler's ticks.
const TIMES: u32 = 50;
/// Warps of a large launch, with two timed sites.
const WARPS: u32 = 65_536;

fn warp_sites() -> SiteTable {
    let SiteTable { sites, .. } = sites();
    SiteTable { mode: Mode::Aggregate, sites: sites.into_iter().take(2).collect(), left_out: vec![] }
}

/// The record file of such a launch on 132 SMs, whose blocks of eight warps follow each other.
fn warps_file() -> Vec<u8> {
    let stride = offset::unit_stride(2, 0, 0);
    let mut bytes = vec![0; (STATE_BYTES + stride * u64::from(WARPS)) as usize];
    bytes[..8].copy_from_slice(&MAGIC);
    put(&mut bytes, 24, stride);
    put(&mut bytes, 32, u64::from(WARPS) | u64::from(WARPS) << 32);
    put(&mut bytes, 40, 2 << 32);
    put(&mut bytes, 56, u64::from(mode_number(Mode::Aggregate, Keep::First)) | 1 << 32);
    bytes[96..128].copy_from_slice(&warp_sites().digest().unwrap());
    for warp in 0..u64::from(WARPS) {
        let unit = &mut bytes[(STATE_BYTES + stride * warp) as usize..][..stride as usize];
        let (block, begin) = (warp / 8, ENTRY + warp / 8 / 1056 * 20_000);
        put(unit, 0, warp | (block % 132) << 32);
        let clocks = [begin, begin + 18_000 + warp % 97, begin * 2 / 3, (begin + 18_000 + warp % 97) * 2 / 3];
        (0..).step_by(8).zip(clocks).for_each(|(at, clock)| put(unit, 8 + at, clock));
        put(unit, offset::WARP as usize & !7, (warp % 8) << 32);
        put(unit, offset::BLOCK as usize, block);
        for site in 0..2 {
            let aggregate = [64, 64 * (120 + warp % 13), 100, 400];
            let at = offset::aggregate(site) as usize;
            (0..).step_by(8).zip(aggregate).for_each(|(field, value)| put(unit, at + field, value));
        }
    }
    bytes
}

/// Totals of the file at `path`, and the largest resident set of this process, which did nothing else.
fn read_alone(path: &str) {
    let begin = processor_time();
    let file = File::open(path).unwrap();
    let bytes = file.metadata().unwrap().len();
    let totals = totals(file, &sites()).unwrap();
    let records: u64 = totals.sites.iter().map(|site| 2 * site.count).sum();
    report("large-file", records, processor_time() - begin);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("large-file {bytes} bytes {} resident", peak.trim());
}

/// Processor time of `work`, the least of some repeats: what one core needs for it, whatever else the machine does.
fn least(work: impl Fn()) -> Duration {
    let once = || {
        let begin = processor_time();
        work();
        processor_time() - begin
    };
    (0..REPEATS).map(|_| once()).min().unwrap()
}

/// Time this program's only thread has run.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn sites() -> SiteTable {
    let site = |id| ProbeSite {
        id,
        probe: "region-time".into(),
        kind: SiteKind::Region,
        name: format!("region {id}"),
        function: "kernel".into(),
        place: Some(Place { file: "kernel.mlir".into(), line: id + 1, column: 1 }),
        loop_depth: 0,
        parent: None,
        counts_trips: false,
        lines: vec![],
        words: 0,
    };
    SiteTable { mode: Mode::Trace, sites: (0..SITES).map(site).collect(), left_out: vec![] }
}

/// A record file of `bytes` of records; answers how many there are.
fn write_file(path: &Path, bytes: u64) -> u64 {
    let capacity = bytes / 8 / u64::from(UNITS);
    let stride = offset::unit_stride(SITES, 0, capacity);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut head = vec![0; STATE_BYTES as usize];
    head[..8].copy_from_slice(&MAGIC);
    put(&mut head, 24, stride);
    put(&mut head, 32, u64::from(UNITS) | u64::from(UNITS) << 32);
    put(&mut head, 40, u64::from(SITES) << 32);
    put(&mut head, 48, capacity);
    put(&mut head, 56, u64::from(mode_number(Mode::Trace, Keep::First)) | 1 << 32);
    let exit = ENTRY + 64 * capacity;
    let clocks = [(0, ENTRY), (8, exit), (16, 1_000), (24, 1_000 + (exit - ENTRY) / 3)];
    clocks.iter().for_each(|(at, value)| put(&mut head, 64 + at, *value));
    head[96..128].copy_from_slice(&sites().digest().unwrap());
    out.write_all(&head).unwrap();
    let mut records = 0;
    for unit in 0..UNITS {
        let mut fixed = vec![0; (offset::records(SITES, 0)) as usize];
        put(&mut fixed, 0, u64::from(unit));
        clocks.iter().for_each(|(at, value)| put(&mut fixed, 8 + at, *value));
        put(&mut fixed, offset::RECORD_CAPACITY as usize, capacity);
        let words = Kernel::new(u64::from(unit)).words(capacity);
        put(&mut fixed, offset::CURSOR as usize, words);
        out.write_all(&fixed).unwrap();
        let mut kernel = Kernel::new(u64::from(unit));
        (0..words).for_each(|_| out.write_all(&kernel.next().to_le_bytes()).unwrap());
        let rest = stride - offset::records(SITES, 0) - 8 * words;
        out.write_all(&vec![0; rest as usize]).unwrap();
        records += words;
    }
    out.into_inner().unwrap();
    records
}
const ENTRY: u64 = 0x7_ffff_0000;

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Records of a kernel: rows, in each a varying number of tiles, in each four steps; lengths vary.
struct Kernel {
    random: u64,
    clock: u64,
    number: u64,
    /// What comes until the row at hand is over, last one first.
    queue: Vec<(RecordKind, u32)>,
}

impl Kernel {
    fn new(seed: u64) -> Self {
        Self { random: seed + 1, clock: ENTRY, number: 0, queue: vec![] }
    }

    /// Records of whole rows that fit into `capacity`, found by making them: rows vary.
    fn words(mut self, capacity: u64) -> u64 {
        let mut whole = 0;
        loop {
            self.next();
            if self.number > capacity {
                return whole;
            }
            if self.queue.is_empty() {
                whole = self.number;
            }
        }
    }

    fn next(&mut self) -> u64 {
        // Knuth's MMIX generator: what is wanted is that branches cannot be learnt by heart.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if self.queue.is_empty() {
            self.begin_row(2 + (self.random >> 60) as u32);
        }
        self.clock += 20 + (self.random >> 59);
        let (kind, site) = self.queue.pop().unwrap();
        let record = ProbeRecord::new(self.clock as u32, site, kind, self.number as u8);
        self.number += 1;
        record.0
    }

    fn begin_row(&mut self, tiles: u32) {
        use RecordKind::{RegionBegin, RegionEnd};
        let step = |site| [(RegionEnd, site), (RegionBegin, site)];
        self.queue.push((RegionEnd, 0));
        for tile in 0..tiles {
            let tile_site = 1 + tile % 3;
            let first = 4 + 4 * (tile % 3);
            self.queue.push((RegionEnd, tile_site));
            (0..4).for_each(|index| self.queue.extend(step(first + index)));
            self.queue.push((RegionBegin, tile_site));
        }
        self.queue.push((RegionBegin, 0));
    }
}

//! Decoding record files: sound ones, lossy ones, broken ones, arbitrary ones.
#![allow(clippy::unwrap_used)]

#[path = "common/file.rs"]
mod file;

use file::*;
use kinstr_trace::chrome;
use kinstr_trace::decode::{DecodeError, decode};
use kinstr_trace::layout::{Mode, ProbeRecord, RecordKind};
use kinstr_trace::perfetto::{self, proto};
use kinstr_trace::regions::{ProbeCost, timed_sites};
use kinstr_trace::sites::Place;
use kinstr_trace::tables::{Losses, Slice, Trace};
use kinstr_trace::totals::totals;
use proptest::prelude::*;
use prost::Message;
use std::io::{self, Cursor};

fn trace_of(units: Vec<UnitData>, capacity: u64) -> Trace {
    let file = RecordFile::new(Mode::Trace, capacity, units);
    decode(&file.bytes(), &file.sites).unwrap()
}

fn error_of(file: &RecordFile, damage: impl Fn(&mut Vec<u8>)) -> DecodeError {
    let mut bytes = file.bytes();
    damage(&mut bytes);
    decode(&bytes, &file.sites).unwrap_err()
}

fn aggregate() -> RecordFile {
    let unit = UnitData {
        aggregates: vec![(0, [4, 1200, 250, 400]), (1, [8, 480, 30, 90])],
        counters: vec![(2, 1), (3, 1024)],
        words: vec![(1, 77)],
        ..UnitData::default()
    };
    RecordFile::new(Mode::Aggregate, 0, vec![unit.clone(), unit])
}

#[test]
fn aggregates_and_counts_come_back() {
    let file = aggregate();
    let trace = decode(&file.bytes(), &file.sites).unwrap();
    insta::assert_snapshot!(trace.summary());
    assert_eq!(trace.words.len(), 2, "one row a unit: {:?}", trace.words);
    assert_eq!((trace.words[0].site, &trace.words[0].words[..]), (3, &[0, 77][..]));
    let cost = ProbeCost { inside: 30.0, around: 50.0 };
    let regions = timed_sites(&trace, &file.sites, cost, 1000.0).regions;
    assert_eq!(regions[0].name, "outer");
    assert_eq!(regions[0].calls, 8);
    // 2 × 1200 ticks less 8 probes of 30, at 3 ticks a nanosecond.
    assert!((regions[0].ns_total - 720.0).abs() < 1e-6, "{regions:?}");
    assert!((regions[0].share - 0.72).abs() < 1e-9);
}

#[test]
fn sites_of_one_name_keep_their_totals_apart() {
    let mut file = aggregate();
    let place = |line| Some(Place { file: "k.c".to_owned(), line, column: 1 });
    for (site, line) in file.sites.sites.iter_mut().zip([3, 3, 9, 9]) {
        (site.name, site.place) = ("part".to_owned(), place(line));
    }
    file.sites.sites[3].place = place(11);
    assert_eq!(file.sites.labels(), ["part (k.c:3) #0", "part (k.c:3) #1", "part (k.c:9)", "part (k.c:11)"]);
    let mut chrome_file = Vec::new();
    chrome::write(Cursor::new(&file.bytes()), &file.sites, &mut chrome_file).unwrap();
    let text = String::from_utf8(chrome_file).unwrap();
    for total in [
        r##""part (k.c:3) #0: runs":4"##,
        r##""part (k.c:3) #1: runs":8"##,
        r#""part (k.c:11): executions":1024"#,
    ] {
        assert!(text.contains(total), "{text}");
    }
}

#[test]
fn a_timeline_says_what_it_lost() {
    let full = UnitData { records: nested().records, ..UnitData::default() };
    let file = RecordFile::new(Mode::Trace, 3, vec![full]);
    let mut bytes = Vec::new();
    perfetto::write(Cursor::new(&file.bytes()), &file.sites, &mut bytes).unwrap();
    let trace = proto::TraceFile::decode(&bytes[..]).unwrap();
    let events = trace.packet.iter().filter_map(|packet| packet.track_event.as_ref());
    let losses = events.filter(|event| event.name.as_deref() == Some("losses")).collect::<Vec<_>>();
    let dropped = |note: &&proto::DebugAnnotation| note.name == "records did not fit their buffer";
    assert_eq!(losses[0].debug_annotations.iter().find(dropped).unwrap().uint_value, Some(5));
}

#[test]
fn nested_regions_and_wrapped_clocks_come_back() {
    let trace = trace_of(vec![nested(), nested()], 16);
    assert!(!trace.losses.any(), "{:?}", trace.losses);
    let wrapped = ENTRY + (1 << 31);
    assert_eq!(
        trace.slices[0],
        Slice { track: 0, site: 0, depth: 0, begin: ENTRY + 100, end: wrapped + 400 }
    );
    assert_eq!(
        trace.slices[1],
        Slice { track: 0, site: 1, depth: 1, begin: ENTRY + 200, end: wrapped + 150 }
    );
    assert_eq!(trace.slices.len(), 6);
    assert_eq!(trace.counters[0].value, 77);
    assert_eq!((trace.counts[0].site, trace.counts[0].count), (3, 1));
    insta::assert_snapshot!(trace.summary());
}

#[test]
fn dropped_records_are_counted_and_leave_their_regions_open() {
    let trace = trace_of(vec![nested()], 3);
    let expected =
        Losses { dropped_records: 5, units_with_drops: 1, unclosed_regions: 1, ..Losses::default() };
    assert_eq!(trace.losses, expected);
    assert_eq!(trace.slices.len(), 1);
    assert_eq!(trace.slices[0].depth, 0, "the region around it has no end, so it is none");
}

#[test]
fn records_out_of_order_are_counted() {
    use RecordKind::*;
    let mut unit = UnitData {
        records: records(&[
            (RegionEnd, 0, ENTRY + 5),
            (RegionBegin, 0, ENTRY + 20),
            (RegionEnd, 0, ENTRY + 12),
        ]),
        ..UnitData::default()
    };
    unit.records.push(ProbeRecord(9 << ProbeRecord::KIND_SHIFT | 9 << ProbeRecord::SEQUENCE_SHIFT));
    let trace = trace_of(vec![unit], 8);
    let expected = Losses {
        unopened_regions: 1,
        reordered_clocks: 1,
        unknown_records: 1,
        out_of_sequence: 1,
        ..Losses::default()
    };
    assert_eq!(trace.losses, expected);
    assert_eq!((trace.slices[0].begin, trace.slices[0].end), (ENTRY + 20, ENTRY + 20));
}

#[test]
fn broken_files_are_refused_with_the_reason() {
    let file = aggregate();
    let site = UnitData { records: records(&[(RecordKind::Count, 9, 0)]), ..UnitData::default() };
    let site = RecordFile::new(Mode::Trace, 4, vec![site]);
    let empty = RecordFile::new(Mode::Aggregate, 0, vec![]);
    let idle = RecordFile::new(Mode::Aggregate, 0, vec![UnitData::default()]);
    let refused = RecordFile { refused: 4, ..empty.clone() };
    let uncalled = RecordFile { launches: 0, ..empty.clone() };
    let errors = [
        error_of(&file, |bytes| bytes[0] = b'X'),
        error_of(&file, |bytes| bytes[7] = b'9'),
        error_of(&file, |bytes| bytes.truncate(4)),
        error_of(&file, |bytes| bytes.truncate(100)),
        error_of(&file, |bytes| bytes.truncate(600)),
        error_of(&file, |bytes| put(bytes, 24, 64)),
        error_of(&file, |bytes| put(bytes, 48, u64::MAX)),
        error_of(&file, |bytes| put32(bytes, 36, 3)),
        error_of(&file, |bytes| put32(bytes, 44, 7)),
        error_of(&file, |bytes| put32(bytes, 56, 1)),
        error_of(&file, |bytes| bytes[100] ^= 1),
        error_of(&file, |bytes| put32(bytes, 256, 1)),
        error_of(&file, |bytes| put(bytes, 256 + 8, u64::MAX)),
        error_of(&file, |bytes| put(bytes, 256 + 128 + 16, 500)),
        error_of(&site, |_| ()),
        error_of(&uncalled, |_| ()),
        error_of(&empty, |_| ()),
        error_of(&refused, |_| ()),
        error_of(&idle, |_| ()),
    ];
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    insta::with_settings!({filters => vec![("[0-9a-f]{64}", "<digest>")]}, {
        insta::assert_snapshot!(lines.join("\n"));
    });
}

#[test]
fn perfetto_gets_every_slice_with_its_name_and_line() {
    let records = RecordFile::new(Mode::Trace, 16, vec![nested(), nested()]);
    let mut bytes = vec![];
    let losses = perfetto::write(Cursor::new(records.bytes()), &records.sites, &mut bytes).unwrap();
    assert!(!losses.any());
    let file = proto::TraceFile::decode(bytes.as_slice()).unwrap();
    let interned = file.packet[0].interned_data.clone().unwrap();
    let name = |iid| interned.event_names.iter().find(|name| name.iid == iid).unwrap().name.clone();
    let line = |iid| interned.source_locations.iter().find(|l| l.iid == iid).unwrap().line_number;

    let mut open: Vec<(u64, String)> = vec![];
    let mut slices = vec![];
    let unit = |packet: &&proto::TracePacket| packet.track_event.as_ref().is_some_and(|e| e.track_uuid == 2);
    // Perfetto sorts by time and keeps the order of packets at the same time.
    let mut packets: Vec<_> = file.packet.iter().filter(unit).collect();
    packets.sort_by_key(|packet| packet.timestamp);
    for packet in packets {
        let (at, event) = (packet.timestamp.unwrap(), packet.track_event.as_ref().unwrap());
        if event.kind == proto::event::SLICE_BEGIN {
            let interned = event.name_iid.map(|iid| format!("{}:{}", name(iid), line(iid)));
            open.push((at, interned.or(event.name.clone()).unwrap()));
        } else {
            let (begin, name) = open.pop().unwrap();
            slices.push(format!("{}{name} {begin}+{}", "  ".repeat(open.len()), at - begin));
        }
    }
    assert!(open.is_empty());
    insta::assert_snapshot!(slices.join("\n"), @r"
        inner:11 66+715827866
        inner:11 715827982+30
      outer:10 33+715827983
    unit 0 0+4294967296
    ");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes, &sites(Mode::Trace));
    }

    #[test]
    fn damaged_files_never_panic(
        damage in proptest::collection::vec((0usize..2000, any::<u8>()), 0..12),
        cut in 0usize..2000,
    ) {
        for file in [aggregate(), RecordFile::new(Mode::Trace, 16, vec![nested(), nested()])] {
            let mut bytes = file.bytes();
            let length = bytes.len();
            for (at, value) in &damage {
                bytes[at % length] = *value;
            }
            bytes.truncate(length.saturating_sub(cut % 40));
            if let Ok(trace) = decode(&bytes, &file.sites) {
                let _ = (trace.summary(), timed_sites(&trace, &file.sites, ProbeCost::default(), 1e6));
            }
            // A damaged record is no reason to refuse the others here, so these may go on where decoding stops.
            let _ = (
                perfetto::write(Cursor::new(&bytes), &file.sites, io::sink()),
                chrome::write(Cursor::new(&bytes), &file.sites, io::sink()),
                totals(Cursor::new(&bytes), &file.sites),
            );
        }
    }

    /// Whatever the clocks, slices come back as written if no pause is as long as a wrap; some nearly are.
    #[test]
    fn clocks_survive_the_cut_to_32_bits(
        pauses in proptest::collection::vec(prop_oneof![9 => 0u64..1 << 24, 1 => 0u64..(1 << 32) - (1 << 16)], 2..30),
    ) {
        let mut now = ENTRY;
        let mut events = vec![];
        for pair in pauses.chunks_exact(2) {
            let begin = now + pair[0];
            now = begin + pair[1];
            events.extend([(RecordKind::RegionBegin, 0, begin), (RecordKind::RegionEnd, 0, now)]);
        }
        prop_assume!(now <= EXIT);
        let unit = UnitData { records: records(&events), ..UnitData::default() };
        let trace = trace_of(vec![unit], 64);
        let found: Vec<_> = trace.slices.iter().flat_map(|slice| [slice.begin, slice.end]).collect();
        let written: Vec<_> = events.iter().map(|event| event.2).collect();
        prop_assert_eq!(found, written);
    }
}

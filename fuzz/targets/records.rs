//! The record decoder on arbitrary bytes: it may refuse them, and it must neither panic nor hang, nor hand a consumer
//! regions that do not nest.
#![no_main]

use kinstr_trace::{
    chrome,
    decode::{Consumer, decode, stream},
    layout::{MAGIC, Mode},
    perfetto,
    sites::{ProbeSite, SiteKind, SiteTable},
    tables::{Slice, Unit},
    totals::totals,
};
use libfuzzer_sys::fuzz_target;
use std::{
    convert::Infallible,
    io::{Cursor, sink},
    sync::LazyLock,
};

/// Offset of the site digest in a record file.
const DIGEST: usize = 96;

/// A small site table a mode, with its digest.
static TABLES: LazyLock<[(SiteTable, [u8; 32]); 2]> = LazyLock::new(|| {
    [Mode::Aggregate, Mode::Trace].map(|mode| {
        let sites = SiteTable { mode, sites: (0..3).map(site).collect(), left_out: vec![] };
        let digest = sites.digest().expect("a site table has a digest");
        (sites, digest)
    })
});

fn site(id: u32) -> ProbeSite {
    ProbeSite {
        id,
        probe: "region-time".into(),
        kind: SiteKind::Region,
        name: format!("region {id}"),
        function: "kernel".into(),
        place: None,
        loop_depth: 0,
        parent: None,
        counts_trips: false,
        words: 0,
        lines: vec![],
    }
}

/// Holds the decoder to what [`Consumer`] promises.
#[derive(Default)]
struct Nesting {
    open: Vec<u32>,
}

impl Consumer for Nesting {
    type Error = Infallible;

    fn open(&mut self, site: u32, depth: u32, _ticks: u64) -> Result<(), Infallible> {
        assert_eq!(depth as usize, self.open.len());
        self.open.push(site);
        Ok(())
    }
    fn close(&mut self, slice: Slice) -> Result<(), Infallible> {
        assert_eq!(self.open.pop(), Some(slice.site));
        assert!(slice.begin <= slice.end && slice.depth as usize == self.open.len());
        Ok(())
    }
    fn abandon(&mut self, _ticks: u64) -> Result<(), Infallible> {
        assert!(self.open.pop().is_some());
        Ok(())
    }
    fn end_unit(&mut self, _unit: &Unit) -> Result<(), Infallible> {
        assert!(self.open.is_empty());
        Ok(())
    }
}

// The first byte chooses the mode; magic and digest, which no mutation would find, are put in.
fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = input.split_first() else { return };
    let (sites, digest) = &TABLES[usize::from(mode & 1)];
    let mut bytes = bytes.to_vec();
    if let Some(magic) = bytes.first_chunk_mut() {
        *magic = MAGIC;
    }
    if let Some(place) = bytes.get_mut(DIGEST..DIGEST + digest.len()) {
        place.copy_from_slice(digest);
    }
    let records = || Cursor::new(bytes.as_slice());
    let losses = stream(records(), sites, &mut Nesting::default()).ok();
    assert_eq!(totals(records(), sites).ok().map(|totals| totals.losses), losses);
    assert_eq!(perfetto::write(records(), sites, sink()).ok(), losses);
    assert_eq!(chrome::write(records(), sites, sink()).ok(), losses);
    if let Ok(trace) = decode(&bytes, sites) {
        assert_eq!(Some(trace.losses), losses);
        std::hint::black_box(trace.summary());
    }
});

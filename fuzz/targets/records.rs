//! The record decoder on arbitrary bytes: it may refuse them, and it must neither panic nor hang.
#![no_main]

use kinstr_trace::{
    decode::decode,
    layout::{MAGIC, Mode},
    perfetto::pftrace,
    sites::{ProbeSite, SiteKind, SiteTable},
};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// Offset of the site digest in a record file.
const DIGEST: usize = 96;

/// A small site table a mode, with its digest.
static TABLES: LazyLock<[(SiteTable, [u8; 32]); 2]> = LazyLock::new(|| {
    [Mode::Aggregate, Mode::Trace].map(|mode| {
        let sites = SiteTable { mode, sites: (0..3).map(site).collect() };
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
        lines: vec![],
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
    if let Ok(trace) = decode(&bytes, sites) {
        std::hint::black_box((trace.summary(), pftrace(&trace, sites)));
    }
});

//! What becomes of ops that no probe inserts yet, and of ops that lack something.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use kinstr_dialects::ops::Builder;
use kinstr_passes::{
    context,
    conversion::{ConversionError, x86_64},
    ffi::parse_module,
    ir::{body, functions},
    transforms::lower_intent::{Keep, lower_intent},
};
use kinstr_trace::{
    layout::Mode,
    sites::{ProbeSite, SiteKind, SiteTable},
};
use melior::{
    Context,
    ir::{BlockLike, Location, Module, RegionLike, operation::OperationLike},
};

const FUNCTION: &str = "llvm.func @f(%value: i64) { llvm.return }";

fn sites(count: u32) -> SiteTable {
    let site = |id| ProbeSite {
        id,
        probe: "test".into(),
        kind: SiteKind::Block,
        name: "sampled".into(),
        function: "f".into(),
        place: None,
        loop_depth: 0,
        parent: None,
        counts_trips: false,
        words: 0,
        lines: vec![],
    };
    SiteTable { sites: (0..count).map(site).collect(), ..SiteTable::default() }
}

/// `f`, whose argument is kept as a sample of site 1.
fn sampled(context: &Context) -> Module<'_> {
    let module = parse_module(context, FUNCTION, "test.mlir").unwrap();
    let block = body(functions(&module, "llvm")[0]).unwrap().first_block().unwrap();
    let builder = Builder::new(context, Location::unknown(context));
    let value = block.argument(0).unwrap().into();
    block.insert_operation(0, builder.init().unwrap());
    block.insert_operation(1, builder.sample(1, value).unwrap());
    module
}

#[test]
fn a_sample_becomes_a_record_of_its_value() {
    let (context, _) = context::create().unwrap();
    for mode in [Mode::Aggregate, Mode::Trace] {
        let module = sampled(&context);
        lower_intent(&context, &module, mode, Keep::Memory).unwrap();
        assert!(module.as_operation().verify());
        x86_64::convert(&context, &module, &sites(2)).unwrap();
        let text = module.as_operation().to_string();
        // A sample is record kind 3, beside site 1; two sites before the records: 128 + 2 × (32 + 8).
        let word = (1_u64 << 32) | (3 << 52);
        assert!(!text.contains("kprobe."), "{text}");
        assert!(text.contains(&format!("constant({word} : i64)")), "{text}");
        assert!(text.contains("constant(208 : i64)"), "{text}");
        assert!(text.contains("@__kinstr_record_event(%0, %1, %2, %arg0)"), "{text}");
    }
}

#[test]
fn a_site_that_is_not_in_the_table_is_refused() {
    let (context, _) = context::create().unwrap();
    let module = sampled(&context);
    lower_intent(&context, &module, Mode::Trace, Keep::Memory).unwrap();
    let refused = x86_64::convert(&context, &module, &sites(1));
    assert!(matches!(refused, Err(ConversionError::NoSuchSite { site: 1, sites: 1, .. })), "{refused:?}");
}

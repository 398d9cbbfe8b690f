//! What `kinstr opt` does to a module, on arbitrary text: whatever parses and verifies takes every probe and gives it
//! back unchanged, or the probe says why it does not fit; and the conversion leaves no probe behind.
#![no_main]

use kinstr_passes::{
    context,
    conversion::x86_64,
    ffi, ir,
    probe::{self, Level, Probe},
    probes,
    transforms::{adapt_entry::find_entry, lower_intent::{Keep, lower_intent}, strip_probes::strip_probes},
};
use kinstr_trace::layout::Mode;
use libfuzzer_sys::fuzz_target;
use melior::{
    Context,
    ir::{Module, operation::OperationLike},
};
use std::cell::RefCell;

/// Inputs that share a context. One takes 10 ms to make, and what MLIR made unique in it is freed only with it.
const INPUTS: u32 = 1000;

thread_local! {
    static SHARED: RefCell<Option<(Context, context::Messages, u32)>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    SHARED.with_borrow_mut(|shared| {
        if !matches!(shared, Some((_, _, 1..))) {
            let (context, messages) = context::create().expect("the embedded dialect loads");
            *shared = Some((context, messages, INPUTS));
        }
        let Some((context, messages, left)) = shared else { return };
        *left -= 1;
        check(context, text);
        messages.take();
    });
});

fn check(context: &Context, text: &str) {
    let Some(module) = ffi::parse_module(context, text, "fuzz.mlir") else { return };
    if !module.as_operation().verify() {
        return;
    }
    for probe in probes::ALL {
        for mode in [Mode::Aggregate, Mode::Trace] {
            check_probe(context, &module, *probe, mode);
        }
    }
}

fn check_probe(context: &Context, module: &Module<'_>, probe: &dyn Probe, mode: Mode) {
    let copy = ffi::clone_module(module);
    let before = printed(&copy);
    let entry = find_entry(&copy, None).ok().map(ir::symbol);
    let entry = entry.as_deref().filter(|_| probe.level() == Level::Structured);
    // An error leaves the module half done, and the caller throws it away.
    let Ok(_) = probe::insert(context, &copy, &[probe], entry, mode) else { return };
    strip_probes(context, &copy);
    // A module that came with probes of its own loses those too.
    if !holds_probes(module) {
        assert_eq!(printed(&copy), before, "{} leaves something behind", probe.name());
    }

    let copy = ffi::clone_module(module);
    let Ok(sites) = probe::insert(context, &copy, &[probe], entry, mode) else { return };
    let converted =
        lower_intent(context, &copy, mode, Keep::Memory).is_ok() && x86_64::convert(context, &copy, &sites).is_ok();
    assert!(!converted || !holds_probes(&copy), "{} survives conversion", probe.name());
}

/// Symbols and attributes may be called like a probe.
fn holds_probes(module: &Module<'_>) -> bool {
    ir::nested(module.as_operation()).into_iter().any(|operation| ir::name(operation).starts_with("kprobe."))
}

fn printed(module: &Module<'_>) -> String {
    module.as_operation().to_string()
}

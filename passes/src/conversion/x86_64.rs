//! `convert-probes-to-llvm{target=x86-64}`.

use super::{ConversionError, calls::convert_to_calls};
use kinstr_trace::{layout::offset::unit_stride, sites::SiteTable};
use melior::{Context, ir::Module};

const LIBRARY: &str = include_str!("x86_64.mlir");
const OBSERVING: &str = include_str!("observing.mlir");

/// Adds the x86-64 record library to an LLVM-dialect module and turns every mechanism op into a call of it.
///
/// # Errors
/// [`ConversionError`] if a function with probes is not in the LLVM dialect, or MLIR refuses the library.
pub fn convert<'c>(
    context: &'c Context,
    module: &Module<'c>,
    sites: &SiteTable,
) -> Result<(), ConversionError> {
    let count = u32::try_from(sites.sites.len()).unwrap_or(u32::MAX);
    // One spare record slot, so that trace mode without a state has somewhere to write.
    let bytes = unit_stride(count, sites.word_count(), 1);
    let mut library = LIBRARY.replace("UNIT_BYTES", &bytes.to_string());
    if sites.word_count() > 0 {
        library += OBSERVING;
    }
    convert_to_calls(context, module, &library, sites)
}

//! Upstream MLIR: a `.mlir` file.

use super::{FrontendError, Source};
use kinstr_passes::{context::Messages, ffi};
use melior::{Context, ir::Module};

/// Parses `source` into `context`.
///
/// # Errors
/// [`FrontendError::Parse`] with MLIR's messages and their places.
pub fn parse<'c>(
    source: &Source,
    context: &'c Context,
    messages: &Messages,
) -> Result<Module<'c>, FrontendError> {
    messages.take();
    ffi::parse_module(context, &source.text, &source.path.to_string_lossy()).ok_or_else(|| {
        let (path, language) = (source.path.clone(), source.language);
        FrontendError::Parse { path, language, messages: messages.take() }
    })
}

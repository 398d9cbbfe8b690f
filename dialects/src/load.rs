//! Loading the dialect into an MLIR context.

use melior::{Context, ir::Module, utility::load_irdl_dialects};

/// The dialect's IRDL text.
pub const DEFINITION: &str = include_str!("../kprobe.irdl.mlir");

/// Why the dialect could not be loaded. Both are defects of the build, not of the user's input.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// MLIR did not parse the definition.
    #[error("the kprobe dialect definition does not parse")]
    Parse,
    /// IRDL refused the definition.
    #[error("IRDL refused the kprobe dialect definition")]
    Register,
}

/// Loads the `kprobe` dialect. The context must know the `irdl` dialect. Loading twice does nothing.
///
/// # Errors
/// [`LoadError`] if the embedded definition is not valid for this MLIR.
pub fn load(context: &Context) -> Result<(), LoadError> {
    if context.is_registered_operation("kprobe.count") {
        return Ok(());
    }
    let definition = Module::parse(context, DEFINITION).ok_or(LoadError::Parse)?;
    if load_irdl_dialects(&definition) { Ok(()) } else { Err(LoadError::Register) }
}

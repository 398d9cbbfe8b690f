//! Module rewrites that are not probes. Verb-object names, one file each.

pub mod adapt_entry;
pub mod carry_regions;
mod emit;
pub mod expand_copies;
pub mod lower_intent;
mod lower_observing;
pub mod map_linalg;
pub mod name_kernels;
pub mod strip_probes;
pub mod wrap_entry;
pub mod wrap_pointers;

/// Why a rewrite failed.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// An op could not be built.
    #[error(transparent)]
    Build(#[from] kinstr_dialects::ops::BuildError),
    /// MLIR refused something this rewrite made.
    #[error("{what} could not be built: {detail}")]
    Refused {
        /// What.
        what: &'static str,
        /// MLIR's reason or the text it refused.
        detail: String,
    },
    /// `region_end` before any `region_begin` of its site.
    #[error("the end of region site {site} has no begin before it")]
    EndWithoutBegin {
        /// Site.
        site: u32,
    },
    /// A probe op without what it needs.
    #[error("`{op}` has no `{attribute}`")]
    Attribute {
        /// Op name.
        op: &'static str,
        /// What it lacks.
        attribute: &'static str,
    },
    /// A probe that cannot go in before the optimiser.
    #[error("`{op}` cannot be carried through the optimiser: only regions can")]
    NotCarried {
        /// Op name.
        op: &'static str,
    },
    /// The entry cannot be called by kinstr.
    #[error("{0}")]
    Entry(String),
}

/// The attribute of an op, or the error that says which it lacks.
fn needed<T>(
    op: kinstr_dialects::ops::Op,
    attribute: &'static str,
    value: Option<T>,
) -> Result<T, TransformError> {
    value.ok_or(TransformError::Attribute { op: op.name(), attribute })
}

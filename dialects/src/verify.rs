//! What the dialect demands beyond IRDL: site ids that fit a record, and regions that nest.

use crate::ops::{Op, site_of};
use melior::ir::{BlockLike, BlockRef, OperationRef, RegionLike, operation::OperationLike};

/// Site ids have 20 bits in a record (`kinstr_trace::layout::MAX_SITES`, kept apart because a dialect knows no trace).
pub const MAX_SITES: u32 = 1 << 20;

/// A module that breaks a rule of the dialect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A probe op without its site id.
    #[error("`{op}` at {location} carries no site id")]
    NoSite {
        /// Op name.
        op: &'static str,
        /// MLIR location.
        location: String,
    },
    /// More sites than a record can name.
    #[error("site {site} does not fit the 20 bits a record has for it ({MAX_SITES} sites a module)")]
    TooManySites {
        /// The id that does not fit.
        site: u32,
    },
    /// `region_end` without its `region_begin`, or crossing another region.
    #[error("the region of site {site} is not nested in its block at {location}")]
    NotNested {
        /// Site.
        site: u32,
        /// MLIR location.
        location: String,
    },
}

/// Checks every `kprobe` intent op under `root`. Begin and end of a region must stand in one block and
/// nest; this holds at insertion, before control flow is lowered.
///
/// # Errors
/// The first [`VerifyError`] in program order.
pub fn verify(root: OperationRef<'_, '_>) -> Result<(), VerifyError> {
    for region in root.regions() {
        let mut block = region.first_block();
        while let Some(current) = block {
            verify_block(current)?;
            block = current.next_in_region();
        }
    }
    Ok(())
}

fn verify_block(block: BlockRef<'_, '_>) -> Result<(), VerifyError> {
    let mut open = Vec::new();
    let mut next = block.first_operation();
    while let Some(operation) = next {
        if let Some(op) = Op::of(&operation) {
            verify_op(op, operation, &mut open)?;
        }
        verify(operation)?;
        next = operation.next_in_block();
    }
    match open.pop() {
        None => Ok(()),
        Some((site, location)) => Err(VerifyError::NotNested { site, location }),
    }
}

fn verify_op(
    op: Op,
    operation: OperationRef<'_, '_>,
    open: &mut Vec<(u32, String)>,
) -> Result<(), VerifyError> {
    if matches!(op, Op::Init | Op::Flush | Op::GetUnit | Op::ReadClock) {
        return Ok(());
    }
    let location = operation.location().to_string();
    let Some(site) = site_of(&operation) else {
        return Err(VerifyError::NoSite { op: op.name(), location });
    };
    if site >= MAX_SITES {
        return Err(VerifyError::TooManySites { site });
    }
    match op {
        Op::RegionBegin => open.push((site, location)),
        Op::RegionEnd => match open.pop() {
            Some((begun, _)) if begun == site => {}
            _ => return Err(VerifyError::NotNested { site, location }),
        },
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use melior::{Context, dialect::DialectRegistry, ir::Module, utility::register_all_dialects};

    fn check(body: &str) -> Result<(), VerifyError> {
        let registry = DialectRegistry::new();
        register_all_dialects(&registry);
        let context = Context::new_with_registry(&registry, false);
        context.load_all_available_dialects();
        crate::load(&context).unwrap();
        let text = format!("func.func @f() {{ {body} return }}");
        let module = Module::parse(&context, &text).unwrap();
        verify(module.as_operation())
    }

    const BEGIN_1: &str = r#""kprobe.region_begin"() {site = 1 : i32} : () -> () "#;
    const END_1: &str = r#""kprobe.region_end"() {site = 1 : i32} : () -> () "#;
    const BEGIN_2: &str = r#""kprobe.region_begin"() {site = 2 : i32} : () -> () "#;
    const END_2: &str = r#""kprobe.region_end"() {site = 2 : i32} : () -> () "#;

    #[test]
    fn nested_regions_pass() {
        assert_eq!(check(&[BEGIN_1, BEGIN_2, END_2, END_1].concat()), Ok(()));
    }

    #[test]
    fn crossed_and_unclosed_regions_fail() {
        let crossed = check(&[BEGIN_1, BEGIN_2, END_1, END_2].concat());
        assert!(matches!(crossed, Err(VerifyError::NotNested { site: 1, .. })));
        assert!(matches!(check(BEGIN_1), Err(VerifyError::NotNested { site: 1, .. })));
        assert!(matches!(check(END_2), Err(VerifyError::NotNested { site: 2, .. })));
    }

    #[test]
    fn a_site_that_does_not_fit_fails() {
        let count = r#""kprobe.count"() {site = 1048576 : i32} : () -> () "#;
        assert_eq!(check(count), Err(VerifyError::TooManySites { site: 1 << 20 }));
    }
}

//! What the dialect demands beyond IRDL: site ids that fit a record, and regions that nest.

use crate::nesting::Nesting;
use crate::ops::{Op, site_of};
use melior::ir::{BlockLike, OperationRef, RegionLike, operation::OperationLike};

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
    /// A begin or an end without the other on some path, or crossing another region.
    #[error("the region of site {site} is not nested at {location}")]
    NotNested {
        /// Site.
        site: u32,
        /// MLIR location.
        location: String,
    },
}

/// Checks every `kprobe` op under `root`, and answers how the regions nest: on every path, begin and end of a region
/// pair up and enclose others whole.
///
/// # Errors
/// The first [`VerifyError`] in program order.
pub fn verify(root: OperationRef<'_, '_>) -> Result<Nesting, VerifyError> {
    verify_sites(root)?;
    Nesting::of(root)
}

fn verify_sites(root: OperationRef<'_, '_>) -> Result<(), VerifyError> {
    for region in root.regions() {
        let mut block = region.first_block();
        while let Some(current) = block {
            let mut next = current.first_operation();
            while let Some(operation) = next {
                verify_op(operation)?;
                verify_sites(operation)?;
                next = operation.next_in_block();
            }
            block = current.next_in_region();
        }
    }
    Ok(())
}

fn verify_op(operation: OperationRef<'_, '_>) -> Result<(), VerifyError> {
    let Some(op) = Op::of(&operation) else { return Ok(()) };
    if matches!(op, Op::Init | Op::Flush | Op::GetUnit | Op::ReadClock | Op::StoreUnit) {
        return Ok(());
    }
    match site_of(&operation) {
        None => Err(VerifyError::NoSite { op: op.name(), location: operation.location().to_string() }),
        Some(site) if site >= MAX_SITES => Err(VerifyError::TooManySites { site }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use melior::{Context, dialect::DialectRegistry, ir::Module, utility::register_all_dialects};

    fn check(body: &str) -> Result<(), VerifyError> {
        nest(&format!("func.func @f() {{ {body} return }}")).map(drop)
    }

    fn nest(text: &str) -> Result<Nesting, VerifyError> {
        let registry = DialectRegistry::new();
        register_all_dialects(&registry);
        let context = Context::new_with_registry(&registry, false);
        context.load_all_available_dialects();
        crate::load(&context).unwrap();
        let module = Module::parse(&context, text).unwrap();
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

    /// A loop whose region begins before it and ends where it is left.
    fn around_a_loop(at_exit: &str) -> String {
        format!(
            "llvm.func @f(%c: i1) {{ {BEGIN_1} llvm.br ^loop ^loop: {BEGIN_2} {END_2} llvm.cond_br %c, ^loop, ^out \
             ^out: {at_exit} llvm.return }}"
        )
    }

    #[test]
    fn regions_nest_along_paths() {
        let nesting = nest(&around_a_loop(END_1)).unwrap();
        assert_eq!(nesting.parents, [(1, None), (2, Some(1))].into());
        assert!(matches!(nest(&around_a_loop("")), Err(VerifyError::NotNested { site: 1, .. })));
        let reopened = nest(&around_a_loop(END_1).replace(END_2, ""));
        assert!(matches!(reopened, Err(VerifyError::NotNested { site: 2, .. })));
    }

    #[test]
    fn a_site_that_does_not_fit_fails() {
        let count = r#""kprobe.count"() {site = 1048576 : i32} : () -> () "#;
        assert_eq!(check(count), Err(VerifyError::TooManySites { site: 1 << 20 }));
    }
}

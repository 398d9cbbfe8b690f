//! What an address is computed from: arithmetic, values that a loop loads, or what the access itself loaded before.

use super::{access::access_of, pointer::incoming_values};
use crate::{cfg::loop_depths, ir::blocks};
use kinstr_trace::sites::AddressSource;
use melior::ir::{
    BlockLike, OperationRef, RegionRef, Value, ValueLike,
    block::BlockArgument,
    operation::{OperationLike, OperationResult},
};
use std::collections::HashSet;

/// Values looked at for one address; what needs more is taken for arithmetic.
const MOST_VALUES: usize = 256;

/// Answers for one function.
pub struct AddressSources {
    /// Blocks in a loop, by address.
    looping: HashSet<*const std::ffi::c_void>,
}

impl AddressSources {
    /// `region` is the function's body.
    pub fn new(region: RegionRef<'_, '_>) -> Self {
        let depths = loop_depths(region);
        let looping = blocks(region).zip(depths).filter(|(_, depth)| *depth > 0);
        Self { looping: looping.map(|(block, _)| block.to_raw().ptr.cast_const()).collect() }
    }

    /// Source of the address that `access` uses. Loads outside of loops count for nothing: they are where the
    /// buffers' addresses come from.
    pub fn of(&self, access: OperationRef<'_, '_>) -> Option<AddressSource> {
        let pointer = access_of(access)?.pointer;
        let mut search = Search { sources: self, access, seen: HashSet::new(), loaded: false };
        Some(match search.reaches_access(pointer) {
            true => AddressSource::Chased,
            false if search.loaded => AddressSource::Loaded,
            false => AddressSource::Computed,
        })
    }

    fn loops(&self, operation: OperationRef<'_, '_>) -> bool {
        operation.block().is_some_and(|block| self.looping.contains(&block.to_raw().ptr.cast_const()))
    }
}

/// One walk from an address to what it is computed from.
struct Search<'s, 'c, 'a> {
    sources: &'s AddressSources,
    access: OperationRef<'c, 'a>,
    seen: HashSet<*const std::ffi::c_void>,
    /// Whether a load in a loop was met.
    loaded: bool,
}

impl Search<'_, '_, '_> {
    /// Whether `value` is computed from what the access loads.
    fn reaches_access(&mut self, value: Value<'_, '_>) -> bool {
        if self.seen.len() == MOST_VALUES || !self.seen.insert(value.to_raw().ptr) {
            return false;
        }
        let Ok(result) = OperationResult::try_from(value) else {
            let Ok(argument) = BlockArgument::try_from(value) else { return false };
            let values = incoming_values(argument.owner(), argument.argument_number());
            return values.into_iter().flatten().any(|value| self.reaches_access(value));
        };
        let operation = result.owner();
        if access_of(operation).is_some() {
            if operation.to_raw().ptr == self.access.to_raw().ptr {
                return true;
            }
            if !self.sources.loops(operation) {
                return false;
            }
            self.loaded = true;
        }
        let operands: Vec<_> = operation.operands().collect();
        operands.into_iter().any(|value| self.reaches_access(value))
    }
}

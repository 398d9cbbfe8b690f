//! What a function on a GPU keeps of its sites while it runs: variables that code generation makes registers of.

use super::{
    ConversionError,
    calls::{Calls, Offsets},
};
use crate::{
    cfg::loop_depths,
    ir::{blocks, body, operations},
};
use kinstr_dialects::ops::{Op, site_of};
use kinstr_trace::{
    layout::{Mode, offset},
    sites::{SiteKind, SiteTable},
};
use melior::ir::{
    Attribute, Identifier, OperationRef, Type, Value,
    attribute::{DenseI64ArrayAttribute, IntegerAttribute, TypeAttribute},
    operation::{OperationBuilder, OperationLike, OperationResult},
    r#type::IntegerType,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::c_void,
};

/// Both clocks at a kernel's entry, their low 32 bits.
#[derive(Clone, Copy)]
pub(super) struct Entry<'c, 'a> {
    pub clock: Value<'c, 'a>,
    pub time: Value<'c, 'a>,
}

/// How what is kept gets to the unit.
#[derive(Clone, Copy)]
pub(super) enum Flush {
    /// It is all that the unit will have: of a whole warp that leaves its kernel, in a unit of its own.
    Store,
    /// It joins what others left there, by atomic additions.
    Join,
}

impl Flush {
    fn verb(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Join => "join",
        }
    }
}

/// How a site's intervals are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// It has none, but trips.
    None,
    /// It is the whole kernel: the ticks from the entry on.
    Kernel,
    /// No path passes the site twice: the length of the only one.
    Length,
    /// Count, sum, min and max.
    Intervals,
}

struct Local<'c, 'a> {
    shape: Kept,
    /// Its intervals by the block that they end in.
    blocks: BTreeMap<BlockKey, i32>,
    counts_trips: bool,
    /// Those of the intervals, then that of the trips.
    variables: Vec<Value<'c, 'a>>,
}

/// A block, for telling it from others.
type BlockKey = *const c_void;

/// The variables of one function.
pub(super) struct Locals<'c, 'a> {
    sites: BTreeMap<u32, Local<'c, 'a>>,
    /// How often a block was passed: all sites with intervals in that block alone count by it, for registers are dear.
    passes: BTreeMap<BlockKey, Value<'c, 'a>>,
    /// Blocks of which that is counted already.
    counted: BTreeSet<BlockKey>,
    /// Whether some sites record as the function runs.
    pub record_at_once: bool,
    /// The clock reads around the whole kernel.
    pub kernel_reads: Vec<OperationRef<'c, 'a>>,
}

impl<'c, 'a> Locals<'c, 'a> {
    /// What the probe ops `own` of `function` ask for. In trace mode that is nothing.
    pub fn of(function: OperationRef<'c, 'a>, own: &[(Op, OperationRef<'c, 'a>)], table: &SiteTable) -> Self {
        let mut locals = Self {
            sites: BTreeMap::new(),
            passes: BTreeMap::new(),
            counted: BTreeSet::new(),
            record_at_once: false,
            kernel_reads: Vec::new(),
        };
        let looping = in_loops(function);
        for (op, operation) in own {
            let site = site_of(operation).unwrap_or(0);
            let kind = table.sites.get(site as usize).map(|site| site.kind);
            match op {
                Op::RecordInterval if table.mode == Mode::Aggregate && kind == Some(SiteKind::Kernel) => {
                    locals.add(site).shape = Kept::Kernel;
                    let reads = [1, 2].map(|index| operation.operand(index).ok().and_then(owner));
                    locals.kernel_reads.extend(reads.into_iter().flatten());
                }
                Op::RecordInterval if table.mode == Mode::Aggregate => {
                    let local = locals.add(site);
                    let ends = local.blocks.entry(block_of(*operation)).or_default();
                    *ends += 1;
                    // Two in one block are passed on one path, and two in blocks of which one may follow the other: copies of a loop's body.
                    let again = looping.contains(operation) || *ends > 1 || local.blocks.len() > 1;
                    local.shape.widen(again);
                }
                Op::AddTrips if table.mode == Mode::Aggregate => locals.add(site).counts_trips = true,
                Op::AddCount if kind == Some(SiteKind::Loop) && table.mode == Mode::Aggregate => {
                    locals.add(site).counts_trips = true;
                }
                Op::AddCount | Op::RecordBranch | Op::RecordAccess => locals.record_at_once = true,
                _ => {}
            }
        }
        locals
    }

    fn add(&mut self, site: u32) -> &mut Local<'c, 'a> {
        let none = || Local {
            shape: Kept::None,
            blocks: BTreeMap::new(),
            counts_trips: false,
            variables: Vec::new(),
        };
        self.sites.entry(site).or_insert_with(none)
    }

    pub fn any(&self) -> bool {
        !self.sites.is_empty()
    }

    /// Whether something is kept in variables.
    pub fn keeps(&self) -> bool {
        self.sites.values().any(|local| !local.variables.is_empty())
    }

    pub fn is_kernel(&self, site: u32) -> bool {
        self.sites.get(&site).is_some_and(|local| local.shape == Kept::Kernel)
    }

    pub fn holds(&self, site: u32) -> bool {
        self.sites.contains_key(&site)
    }

    /// Makes the variables, at the head of the function.
    pub fn open(&mut self, calls: &Calls<'c, 'a>) -> Result<(), ConversionError> {
        for local in self.sites.values_mut() {
            if let Some((block, _)) = local.only_block()
                && !self.passes.contains_key(&block)
            {
                self.passes.insert(block, calls.variable(0)?);
            }
            let starts: &[i32] = match (local.shape, local.only_block()) {
                (Kept::None | Kept::Kernel, _) => &[],
                (Kept::Length, _) => &[0],
                // The shortest starts with all bits set.
                (Kept::Intervals, Some(_)) => &[0, -1, 0],
                (Kept::Intervals, None) => &[0, 0, -1, 0],
            };
            let trips: &[i32] = if local.counts_trips { &[0] } else { &[] };
            for start in starts.iter().chain(trips) {
                local.variables.push(calls.variable(*start)?);
            }
        }
        Ok(())
    }

    pub fn keep_interval(
        &mut self,
        calls: &Calls<'c, 'a>,
        site: u32,
        begin: Value<'c, 'a>,
        end: Value<'c, 'a>,
    ) -> Result<(), ConversionError> {
        let Some(local) = self.sites.get(&site) else { return Ok(()) };
        let (function, count) = match (local.shape, local.only_block()) {
            (Kept::Intervals, Some(_)) => ("keep_span", 3),
            (Kept::Intervals, None) => ("keep_interval", 4),
            _ => ("keep_length", 1),
        };
        let pass = local.only_block().filter(|(block, _)| self.counted.insert(*block));
        if let Some(passes) = pass.and_then(|(block, _)| self.passes.get(&block)) {
            calls.call("keep_trips", &[*passes, calls.constant_i32(1)?], None)?;
        }
        let operands = [&local.variables[..count], &[begin, end]].concat();
        calls.call(function, &operands, None).map(|_| ())
    }

    pub fn keep_trips(
        &self,
        calls: &Calls<'c, 'a>,
        site: u32,
        trips: Value<'c, 'a>,
    ) -> Result<(), ConversionError> {
        let Some(variable) = self.sites.get(&site).and_then(|local| local.variables.last()) else {
            return Ok(());
        };
        calls.call("keep_trips", &[*variable, trips], None).map(|_| ())
    }

    /// The whole kernel's length to `unit`.
    pub fn flush_kernel(
        &self,
        calls: &Calls<'c, 'a>,
        unit: Value<'c, 'a>,
        ticks: Value<'c, 'a>,
    ) -> Result<(), ConversionError> {
        for (site, _) in self.sites.iter().filter(|(_, local)| local.shape == Kept::Kernel) {
            let at = calls.constant(offset::aggregate(*site))?;
            calls.call("flush_kernel", &[unit, at, ticks], None)?;
        }
        Ok(())
    }

    /// Everything else to `unit`.
    pub fn flush(
        &self,
        calls: &Calls<'c, 'a>,
        unit: Value<'c, 'a>,
        how: Flush,
        offsets: &Offsets,
    ) -> Result<(), ConversionError> {
        let verb = how.verb();
        for (site, local) in &self.sites {
            let values = local
                .variables
                .iter()
                .map(|variable| calls.load(*variable))
                .collect::<Result<Vec<_>, _>>()?;
            let (intervals, trips) = values.split_at(values.len() - usize::from(local.counts_trips));
            let (function, lengths) = match local.shape {
                Kept::None | Kept::Kernel => (None, intervals.to_vec()),
                Kept::Length => (Some("length"), intervals.to_vec()),
                Kept::Intervals => {
                    let count = self.count(calls, local)?;
                    (Some("intervals"), count.into_iter().chain(intervals.iter().copied()).collect())
                }
            };
            if let Some(function) = function {
                let at = calls.constant(offset::aggregate(*site))?;
                calls.call(&format!("{verb}_{function}"), &[&[unit, at], &lengths[..]].concat(), None)?;
            }
            if let [trips] = trips {
                let at = calls.constant(offsets.counter(*site))?;
                calls.call(&format!("{verb}_trips"), &[unit, at, *trips], None)?;
            }
        }
        Ok(())
    }
}

impl<'c, 'a> Locals<'c, 'a> {
    /// How many intervals there were, of a site that does not count them itself.
    fn count(
        &self,
        calls: &Calls<'c, 'a>,
        local: &Local<'c, 'a>,
    ) -> Result<Option<Value<'c, 'a>>, ConversionError> {
        let Some((block, a_pass)) = local.only_block() else { return Ok(None) };
        let Some(passes) = self.passes.get(&block) else { return Ok(None) };
        let (passes, a_pass) = (calls.load(*passes)?, calls.constant_i32(a_pass)?);
        calls.value("llvm.mul", &[passes, a_pass], IntegerType::new(calls.context, 32).into()).map(Some)
    }
}

impl Local<'_, '_> {
    /// The block that all its intervals end in, if there is one, and how many do in one pass.
    fn only_block(&self) -> Option<(BlockKey, i32)> {
        let mut blocks = self.blocks.iter();
        let (block, a_pass) = blocks.next().filter(|_| self.shape == Kept::Intervals)?;
        blocks.next().is_none().then_some((*block, *a_pass))
    }
}

/// Where `operation` stands; null, and so none of a function's, where it stands in no block.
fn block_of(operation: OperationRef<'_, '_>) -> BlockKey {
    operation.block().map_or(std::ptr::null(), |block| block.to_raw().ptr.cast_const())
}

impl Kept {
    fn widen(&mut self, again: bool) {
        *self = if again || *self == Self::Intervals { Self::Intervals } else { Self::Length };
    }
}

/// What stands in a loop of `function`.
fn in_loops<'c, 'a>(function: OperationRef<'c, 'a>) -> Vec<OperationRef<'c, 'a>> {
    let Some(region) = body(function) else { return Vec::new() };
    let depths = loop_depths(region);
    let inside: BTreeSet<usize> = (0..depths.len()).filter(|block| depths[*block] > 0).collect();
    let blocks = blocks(region).enumerate().filter(|(index, _)| inside.contains(index));
    blocks.flat_map(|(_, block)| operations(block)).filter(|operation| Op::of(operation).is_some()).collect()
}

fn owner<'c, 'a>(value: Value<'c, 'a>) -> Option<OperationRef<'c, 'a>> {
    value_is_result(value).then(|| OperationResult::try_from(value).ok().map(|result| result.owner()))?
}

fn value_is_result(value: Value<'_, '_>) -> bool {
    use melior::ir::ValueLike;
    value.is_operation_result()
}

/// In trace mode: where the next record goes.
pub(super) struct Cursor<'c, 'a> {
    room: Value<'c, 'a>,
    variable: Value<'c, 'a>,
}

impl<'c, 'a> Cursor<'c, 'a> {
    pub fn open(calls: &Calls<'c, 'a>, unit: Value<'c, 'a>) -> Result<Self, ConversionError> {
        let room = calls.result("get_room", &[unit], "!llvm.struct<(i32, i32)>")?;
        Ok(Self { room, variable: calls.variable(0)? })
    }

    pub fn record(
        &self,
        calls: &Calls<'c, 'a>,
        unit: Value<'c, 'a>,
        records: u64,
        word: u64,
        payload: Value<'c, 'a>,
    ) -> Result<(), ConversionError> {
        let (records, word) = (calls.constant(records)?, calls.constant(word)?);
        calls
            .call("record_event", &[unit, records, self.room, self.variable, word, payload], None)
            .map(|_| ())
    }

    pub fn store(&self, calls: &Calls<'c, 'a>, unit: Value<'c, 'a>) -> Result<(), ConversionError> {
        let (at, cursor) = (calls.constant(offset::CURSOR)?, calls.load(self.variable)?);
        calls.call("store_cursor", &[unit, at, cursor], None).map(|_| ())
    }
}

impl<'c, 'a> Calls<'c, 'a> {
    /// The result of a call.
    pub(super) fn result(
        &self,
        function: &str,
        operands: &[Value<'c, 'a>],
        kind: &str,
    ) -> Result<Value<'c, 'a>, ConversionError> {
        let call = self.call(function, operands, Some(kind))?;
        Ok(call.result(0).map_err(|_| ConversionError::Build(function.to_owned()))?.into())
    }

    pub(super) fn constant_i32(&self, value: i32) -> Result<Value<'c, 'a>, ConversionError> {
        let kind: Type<'c> = IntegerType::new(self.context, 32).into();
        let value = IntegerAttribute::new(kind, value.into()).into();
        self.built("llvm.mlir.constant", &[("value", value)], &[], kind)
    }

    /// Field `index` of a structure of integers: one of `bits` bits.
    pub(super) fn field(
        &self,
        of: Value<'c, 'a>,
        index: i64,
        bits: u32,
    ) -> Result<Value<'c, 'a>, ConversionError> {
        let position = DenseI64ArrayAttribute::new(self.context, &[index]).into();
        let kind = IntegerType::new(self.context, bits).into();
        self.built("llvm.extractvalue", &[("position", position)], &[of], kind)
    }

    /// Four bytes on the stack that hold `start`.
    fn variable(&self, start: i32) -> Result<Value<'c, 'a>, ConversionError> {
        let kind: Type<'c> = IntegerType::new(self.context, 32).into();
        let pointer = Type::parse(self.context, "!llvm.ptr");
        let pointer = pointer.ok_or_else(|| ConversionError::Build("!llvm.ptr".into()))?;
        let one = self.constant_i32(1)?;
        let element = TypeAttribute::new(kind).into();
        let variable = self.built("llvm.alloca", &[("elem_type", element)], &[one], pointer)?;
        let store = OperationBuilder::new("llvm.store", self.at.location())
            .add_operands(&[self.constant_i32(start)?, variable])
            .build();
        self.insert(store.map_err(|_| ConversionError::Build("llvm.store".into()))?)?;
        Ok(variable)
    }

    fn load(&self, variable: Value<'c, 'a>) -> Result<Value<'c, 'a>, ConversionError> {
        self.built("llvm.load", &[], &[variable], IntegerType::new(self.context, 32).into())
    }

    fn built(
        &self,
        name: &str,
        attributes: &[(&str, Attribute<'c>)],
        operands: &[Value<'c, 'a>],
        result: Type<'c>,
    ) -> Result<Value<'c, 'a>, ConversionError> {
        let refused = |_| ConversionError::Build(name.to_owned());
        let named = |(name, value): &(&str, Attribute<'c>)| (Identifier::new(self.context, name), *value);
        let op = OperationBuilder::new(name, self.at.location())
            .add_attributes(&attributes.iter().map(named).collect::<Vec<_>>())
            .add_operands(operands)
            .add_results(&[result]);
        Ok(self.insert(op.build().map_err(refused)?)?.result(0).map_err(refused)?.into())
    }
}

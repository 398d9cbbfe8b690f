//! `convert-probes-to-llvm{target=nvptx}`.
//!
//! Memory is far from a GPU's threads, so that nothing is stored while a function runs: intervals and trips stay in its
//! variables (`local.rs`) and join the warp's unit before it returns, in the blocks of the grid that record; the others
//! read one constant and go around. What counts and observes goes there at once.

use super::{
    ConversionError,
    calls::{Calls, Offsets, add_library, check_function},
    local::{Cursor, Entry, Flush, Locals},
    waits::clear_waits,
};
use crate::{
    facts::types::Shape,
    ir::{functions, is, nested, symbol},
};
use kinstr_dialects::ops::{Op, kind_of, site_of, step_of, width_of};
use kinstr_trace::{
    layout::{Mode, ProbeRecord, offset},
    sites::SiteTable,
};
use melior::{
    Context, IrRewriter,
    ir::{
        Block, BlockLike, Identifier, Module, OperationRef, RegionLike, Type, Value, ValueLike,
        attribute::DenseI32ArrayAttribute,
        operation::{OperationBuilder, OperationLike, OperationResult},
        r#type::IntegerType,
    },
};

const LIBRARY: &str = include_str!("nvptx.mlir");
const PTX: &str = include_str!("nvptx.ptx");
/// Bytes that one thread moves in one request to memory at most.
const REQUEST_BYTES: u32 = 16;

/// Adds the record library to the LLVM-dialect module of device code and turns every mechanism op into calls of it.
///
/// # Errors
/// [`ConversionError`] if a function with probes is not in the LLVM dialect, or MLIR refuses the library.
pub fn convert<'c>(
    context: &'c Context,
    module: &Module<'c>,
    sites: &SiteTable,
) -> Result<(), ConversionError> {
    let probes: Vec<_> =
        nested(module.as_operation()).into_iter().filter(|operation| Op::of(operation).is_some()).collect();
    if probes.is_empty() {
        return Ok(());
    }
    probes.iter().try_for_each(|probe| check_function(*probe))?;
    let watched: Vec<_> = functions(module, "llvm");
    add_library(context, module, &library())?;
    let offsets = Offsets::of(sites);
    for function in watched {
        let own: Vec<_> = nested(function).into_iter().filter_map(|op| Some((Op::of(&op)?, op))).collect();
        if own.is_empty() {
            continue;
        }
        if sites.mode == Mode::Trace && !is_kernel(function) {
            return Err(ConversionError::CalledInTrace(symbol(function)));
        }
        clear_waits(context, function, sites);
        let locals = Locals::of(function, &own, sites);
        let mut conversion = Conversion {
            context,
            sites,
            offsets: &offsets,
            locals,
            unit: None,
            cursor: None,
            entry: None,
            last_read: None,
        };
        for (op, operation) in &own {
            conversion.convert(*op, *operation, is_kernel(function))?;
        }
    }
    let rewriter = IrRewriter::new(context);
    probes.into_iter().rev().for_each(|operation| rewriter.as_rewriter_base().erase_op(operation));
    Ok(())
}

/// The library with its PTX, and in that the offsets of the layout.
fn library() -> String {
    let offsets = [
        ("STATE_UNITS", offset::STATE_UNITS),
        ("STATE_STRIDE", offset::STATE_UNIT_STRIDE),
        ("STATE_CAPACITY", offset::STATE_UNIT_CAPACITY),
        ("STATE_LAUNCH", offset::STATE_LAUNCH),
        ("STATE_MASK", offset::STATE_LAUNCH + 4),
        ("STATE_SHIFT", offset::STATE_LAUNCH + 8),
        ("STATE_NUMBER", offset::STATE_LAUNCH + 12),
        ("STATE_BLOCKS", offset::STATE_LAUNCH + 16),
        ("CLOCK_EXIT", offset::CLOCK_EXIT),
        ("GLOBAL_EXIT", offset::GLOBAL_EXIT),
        ("LAUNCH", offset::LAUNCH),
        ("RESERVED", offset::BLOCK + 8),
        ("RECORD_CAPACITY", offset::RECORD_CAPACITY),
        ("RECORD_MASK", offset::RECORD_MASK),
    ];
    let sections = PTX.split("\n//: ").skip(1).filter_map(|section| section.split_once('\n'));
    sections.fold(LIBRARY.to_owned(), |library, (name, text)| {
        let lines: Vec<&str> =
            text.lines().filter(|line| !line.is_empty() && !line.starts_with("//")).collect();
        let text = format!("{{\\0A{}\\0A}}", lines.join("\\0A"));
        let text = offsets
            .iter()
            .fold(text, |text, (name, at)| text.replace(&format!("+{name}]"), &format!("+{at}]")));
        library.replace(&format!("PTX({name})"), &text)
    })
}

/// True for a function that the host launches.
pub fn is_kernel(function: OperationRef<'_, '_>) -> bool {
    let convention = function.attribute("CConv").map(|convention| convention.to_string()).unwrap_or_default();
    convention.contains("ptx_kernel") || function.has_attribute("nvvm.kernel")
}

/// One function's probes on their way to calls.
struct Conversion<'s, 'c, 'a> {
    context: &'c Context,
    sites: &'s SiteTable,
    offsets: &'s Offsets,
    locals: Locals<'c, 'a>,
    /// Address of the unit, where something is recorded while the function runs.
    unit: Option<Value<'c, 'a>>,
    cursor: Option<Cursor<'c, 'a>>,
    /// Clocks at a kernel's entry, where it is timed.
    entry: Option<Entry<'c, 'a>>,
    /// The read that was converted last, and what became of it.
    last_read: Option<(OperationRef<'c, 'a>, Value<'c, 'a>)>,
}

impl<'c, 'a> Conversion<'_, 'c, 'a> {
    fn convert(
        &mut self,
        op: Op,
        operation: OperationRef<'c, 'a>,
        is_kernel: bool,
    ) -> Result<(), ConversionError> {
        let calls = Calls { context: self.context, at: operation };
        let site = site_of(&operation).unwrap_or(0);
        let operands: Vec<_> = operation.operands().collect();
        match op {
            Op::GetUnit => self.open(&calls, is_kernel)?,
            Op::StoreUnit => self.close(&calls)?,
            Op::ReadClock => self.read_clock(&calls)?,
            // Its length comes from the clocks of the warp's header.
            Op::RecordInterval if self.locals.is_kernel(site) => {}
            Op::RecordInterval => {
                let calls = Calls { context: self.context, at: when_idle(operation) };
                let (begin, end) = (ticks(&calls, operands[1])?, ticks(&calls, operands[2])?);
                self.locals.keep_interval(&calls, site, begin, end)?;
            }
            Op::RecordEvent => {
                let kind = u64::from(kind_of(&operation).unwrap_or(0));
                let word = u64::from(site) << ProbeRecord::SITE_SHIFT | kind << ProbeRecord::KIND_SHIFT;
                let payload = ticks(&calls, operands[1])?;
                if let (Some(unit), Some(cursor)) = (self.unit, &self.cursor) {
                    cursor.record(&calls, unit, self.offsets.records, word, payload)?;
                }
            }
            Op::AddCount if self.locals.holds(site) => {
                let one = calls.constant_i32(1)?;
                self.locals.keep_trips(&calls, site, one)?;
            }
            Op::AddCount => self.add_up(&calls, "add_count", site, &[])?,
            Op::AddTrips => self.add_trips(&calls, site, step_of(&operation).unwrap_or(1), &operands)?,
            Op::RecordBranch => self.add_up(&calls, "record_branch", site, &[operands[1]])?,
            Op::RecordAccess => {
                let width = width_of(&operation).unwrap_or(0);
                self.record_access(&calls, site, width, operands[1], operands[2])?;
            }
            Op::RecordTouch | Op::RecordSwitch => {
                return Err(ConversionError::Target { target: "nvptx".into() });
            }
            intent => return Err(ConversionError::Intent(intent.name())),
        }
        Ok(())
    }

    /// At the head of the function.
    fn open(&mut self, calls: &Calls<'c, 'a>, is_kernel: bool) -> Result<(), ConversionError> {
        if self.sites.mode == Mode::Trace {
            let unit = calls.result("get_leader_unit", &[], "i64")?;
            self.cursor = Some(Cursor::open(calls, unit)?);
            self.unit = Some(unit);
        } else if self.locals.record_at_once {
            self.unit = Some(calls.result("get_unit", &[], "i64")?);
        }
        let is_timed = self.sites.mode == Mode::Trace || self.locals.any();
        if is_timed && is_kernel {
            let clock = calls.result("read_clock", &[], "i32")?;
            self.entry = Some(Entry { clock, time: calls.result("read_time", &[], "i32")? });
        }
        self.locals.open(calls)
    }

    /// Before the function returns.
    fn close(&self, calls: &Calls<'c, 'a>) -> Result<(), ConversionError> {
        if self.entry.is_none() && !self.locals.any() {
            return Ok(());
        }
        let records = calls.result("is_recording", &[], "i1")?;
        let calls = self.only_where(calls, records)?;
        match self.entry {
            Some(entry) => self.leave(&calls, entry)?,
            None => {
                let unit = calls.result("get_unit", &[], "i64")?;
                self.locals.flush(&calls, unit, Flush::Join, self.offsets)?;
            }
        }
        match (&self.cursor, self.unit) {
            (Some(cursor), Some(unit)) => cursor.store(&calls, unit),
            _ => Ok(()),
        }
    }

    /// Before a kernel returns. What is kept is stored where the warp is whole and its unit its own; else it joins the unit,
    /// which takes longer.
    fn leave(&self, calls: &Calls<'c, 'a>, entry: Entry<'c, 'a>) -> Result<(), ConversionError> {
        let only_aggregates = calls.constant_i32(i32::from(self.sites.mode == Mode::Aggregate))?;
        let left = calls.result(
            "leave",
            &[entry.clock, entry.time, only_aggregates],
            "!llvm.struct<(i64, i32, i1, i1)>",
        )?;
        let (unit, ticks) = (calls.field(left, 0, 64)?, calls.field(left, 1, 32)?);
        self.locals.flush_kernel(calls, unit, ticks)?;
        if self.locals.keeps() {
            for (how, holds) in
                [(Flush::Store, calls.field(left, 2, 1)?), (Flush::Join, calls.field(left, 3, 1)?)]
            {
                self.locals.flush(&self.only_where(calls, holds)?, unit, how, self.offsets)?;
            }
        }
        Ok(())
    }

    /// Where `condition` holds, what the result inserts runs before what `calls` does; where not, it is gone around. All
    /// threads of a warp go one way, so that none waits for another.
    fn only_where(
        &self,
        calls: &Calls<'c, 'a>,
        condition: Value<'c, 'a>,
    ) -> Result<Calls<'c, 'a>, ConversionError> {
        let refused = || ConversionError::Build("llvm.cond_br".into());
        let block = calls.at.block().ok_or_else(refused)?;
        let (region, leave) = block.parent_region().zip(block.terminator()).ok_or_else(refused)?;
        let inside = region.insert_block_after(block, Block::new(&[]));
        let out = region.insert_block_after(inside, Block::new(&[]));
        // Ops are moved in front of one that is there already.
        let end = out.append_operation((*leave).clone());
        let sizes = DenseI32ArrayAttribute::new(self.context, &[1, 0, 0]);
        let branch = OperationBuilder::new("llvm.cond_br", leave.location())
            .add_attributes(&[(Identifier::new(self.context, "operandSegmentSizes"), sizes.into())])
            .add_operands(&[condition])
            .add_successors(&[&inside, &out])
            .build()
            .map_err(|_| refused())?;
        let join = OperationBuilder::new("llvm.br", leave.location()).add_successors(&[&out]).build();
        let join = inside.append_operation(join.map_err(|_| refused())?);
        let rewriter = IrRewriter::new(self.context);
        let behind = std::iter::successors(Some(calls.at), |operation| operation.next_in_block());
        for operation in behind.collect::<Vec<_>>() {
            rewriter.as_rewriter_base().move_op_before(operation, end);
        }
        rewriter.as_rewriter_base().erase_op(end);
        block.append_operation(branch);
        Ok(Calls { context: self.context, at: join })
    }

    /// What is read is 32 bits, widened for whoever wants the 64 that the op has. For the site of the whole kernel the clock
    /// is read at the entry and by `leave`, and not once more.
    /// Where one wait follows another at once, the end of the one is the begin of the other.
    fn read_clock(&mut self, calls: &Calls<'c, 'a>) -> Result<(), ConversionError> {
        let result = calls.at.result(0).map_err(|_| ConversionError::Build("kprobe.read_clock".into()))?;
        let clock = match (self.entry, self.last_read) {
            (Some(entry), _) if self.locals.kernel_reads.contains(&calls.at) => entry.clock,
            (_, Some((before, clock))) if follows_at_once(calls.at, before) => clock,
            _ => calls.result("read_clock", &[], "i32")?,
        };
        self.last_read = Some((calls.at, clock));
        replace(self.context, result.into(), widened(calls, clock)?);
        Ok(())
    }

    /// A function of the library that adds to the counter and the words of a site.
    fn add_up(
        &self,
        calls: &Calls<'c, 'a>,
        function: &str,
        site: u32,
        more: &[Value<'c, 'a>],
    ) -> Result<(), ConversionError> {
        let Some(unit) = self.unit else { return Ok(()) };
        let (counter, words) =
            (calls.constant(self.offsets.counter(site))?, calls.constant(self.offsets.words(site))?);
        let operands = [&[unit, counter, words], more].concat();
        calls.call(function, &operands, None).map(|_| ())
    }

    fn add_trips(
        &self,
        calls: &Calls<'c, 'a>,
        site: u32,
        step: i64,
        operands: &[Value<'c, 'a>],
    ) -> Result<(), ConversionError> {
        let (first, last) = (operands[1], calls.opaque(operands[2])?);
        let (from, to) = if step > 0 { (first, last) } else { (last, first) };
        let distance = calls.distance(from, to)?;
        let (step, rest) =
            (calls.constant(step.unsigned_abs())?, calls.constant(step.unsigned_abs().saturating_sub(1))?);
        // A bound may lie within the last step.
        let whole = calls.value("llvm.add", &[distance, rest], distance.r#type())?;
        let trips = calls.value("llvm.udiv", &[whole, step], distance.r#type())?;
        let trips = calls.value("llvm.trunc", &[trips], IntegerType::new(self.context, 32).into())?;
        match self.unit {
            Some(unit) if self.sites.mode == Mode::Trace => {
                let at = calls.constant(self.offsets.counter(site))?;
                calls.call("add_trips", &[unit, at, trips], None).map(|_| ())
            }
            _ => self.locals.keep_trips(calls, site, trips),
        }
    }

    /// A thread moves 16 bytes a request: wider accesses are several.
    fn record_access(
        &self,
        calls: &Calls<'c, 'a>,
        site: u32,
        width: u32,
        pointer: Value<'c, 'a>,
        active: Value<'c, 'a>,
    ) -> Result<(), ConversionError> {
        let i64_type: Type<'c> = IntegerType::new(self.context, 64).into();
        let shared = Shape::address_space(pointer) == Some(3);
        let function = if shared { "record_shared" } else { "record_global" };
        let address = calls.value("llvm.ptrtoint", &[pointer], i64_type)?;
        for start in (0..width.max(1)).step_by(REQUEST_BYTES as usize) {
            let offset = calls.constant(start.into())?;
            let address = calls.value("llvm.add", &[address, offset], i64_type)?;
            let bytes = calls.constant(u64::from((width - start).min(REQUEST_BYTES)))?;
            let first = calls.constant(u64::from(start == 0))?;
            self.add_up(calls, function, site, &[address, active, bytes, first])?;
        }
        Ok(())
    }
}

/// The low 32 bits of what a mechanism op takes for a clock.
fn ticks<'c, 'a>(calls: &Calls<'c, 'a>, value: Value<'c, 'a>) -> Result<Value<'c, 'a>, ConversionError> {
    let i32_type: Type<'c> = IntegerType::new(calls.context, 32).into();
    if value.is_operation_result()
        && let Ok(result) = OperationResult::try_from(value)
        && crate::ir::is(result.owner(), "llvm.zext")
        && let Ok(narrow) = result.owner().operand(0)
        && narrow.r#type() == i32_type
    {
        return Ok(narrow);
    }
    calls.value("llvm.trunc", &[value], i32_type)
}

fn widened<'c, 'a>(calls: &Calls<'c, 'a>, clock: Value<'c, 'a>) -> Result<Value<'c, 'a>, ConversionError> {
    calls.value("llvm.zext", &[clock], IntegerType::new(calls.context, 64).into())
}

/// Where an interval is added up: not behind its end, since a warp waits for a clock that is used at once, but before the next
/// wait that does not follow at once, or else at the end of its block.
fn when_idle<'c, 'a>(interval: OperationRef<'c, 'a>) -> OperationRef<'c, 'a> {
    let (mut at, mut follows, mut waits) = (interval, true, false);
    while let Some(next) = at.next_in_block() {
        match Op::of(&next) {
            Some(Op::StoreUnit) => return next,
            Some(Op::ReadClock) if waits => (follows, waits) = (true, false),
            Some(Op::ReadClock) if follows => waits = begins_interval(next),
            Some(Op::ReadClock) => return next,
            _ => follows &= waits || takes_no_time(&next),
        }
        at = next;
    }
    at
}

/// Whether a read of the clock is where an interval begins.
fn begins_interval(read: OperationRef<'_, '_>) -> bool {
    let Ok(clock) = read.result(0) else { return false };
    let is_begin = |operation: OperationRef<'_, '_>| {
        Op::of(&operation) == Some(Op::RecordInterval)
            && operation
                .operand(1)
                .is_ok_and(|begin| begin.to_raw().ptr == melior::ir::ValueLike::to_raw(&clock).ptr)
    };
    std::iter::successors(Some(read), |operation| operation.next_in_block()).any(is_begin)
}

/// Whether nothing is between two reads of the clock but what is done later, or is no instruction.
fn follows_at_once<'c, 'a>(read: OperationRef<'c, 'a>, before: OperationRef<'c, 'a>) -> bool {
    let mut behind = std::iter::successors(before.next_in_block(), |operation| operation.next_in_block());
    behind.find(|operation| !takes_no_time(operation)) == Some(read)
}

fn takes_no_time(operation: &OperationRef<'_, '_>) -> bool {
    let is_later = Op::of(operation) == Some(Op::RecordInterval);
    is_later || is(*operation, "llvm.extractvalue") || is(*operation, "llvm.mlir.constant")
}

fn replace<'c>(context: &'c Context, old: Value<'c, '_>, new: Value<'c, '_>) {
    IrRewriter::new(context).as_rewriter_base().replace_all_uses_with(old, new);
}

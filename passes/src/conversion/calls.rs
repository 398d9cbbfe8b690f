//! The part that all targets share: mechanism ops become calls of a target's record library.

use crate::{
    ffi::parse_module,
    ir::{nested, operations, symbol},
};
use kinstr_dialects::ops::{KIND, Op, SITE, STEP, WIDTH, kind_of, site_of, step_of, width_of};
use kinstr_trace::{
    layout::{ProbeRecord, offset},
    sites::{ProbeSite, SiteKind, SiteTable},
};
use melior::{
    Context, IrRewriter,
    ir::{
        BlockLike, Identifier, Location, Module, Operation, OperationRef, Type, Value, ValueLike,
        attribute::{DenseI32ArrayAttribute, FlatSymbolRefAttribute, IntegerAttribute},
        operation::{OperationBuilder, OperationLike},
        r#type::IntegerType,
    },
};

/// Why `kprobe` ops could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConversionError {
    /// The target's record library is not valid for this MLIR.
    #[error("the record library of this target does not parse")]
    Library,
    /// An intent op was not lowered before.
    #[error("`{0}` is still an intent op: run lower-probe-intent first")]
    Intent(&'static str),
    /// A function with probes is not in the LLVM dialect.
    #[error("function `{0}` holds probes but is not in the LLVM dialect")]
    NotLlvm(String),
    /// An op without what it needs.
    #[error("`{op}` has no `{attribute}`")]
    #[allow(missing_docs)]
    Attribute { op: &'static str, attribute: &'static str },
    /// An op of a site that is not in the table.
    #[error("`{op}` names site {site}, and the table has {sites}")]
    #[allow(missing_docs)]
    NoSuchSite { op: &'static str, site: u32, sites: u32 },
    /// MLIR refused an op.
    #[error("could not build `{0}`")]
    Build(String),
    /// Trace mode keeps its cursor in a register of the kernel.
    #[error(
        "`{0}` calls functions that are not inlined and hold probes: events of these are not recorded on a GPU"
    )]
    CalledInTrace(String),
    /// No conversion for this target.
    #[error("probes are not converted for target `{target}`")]
    #[allow(missing_docs)]
    Target { target: String },
}

/// Turns every mechanism op under `module` into a call of `library`'s function of the same name, with the byte
/// offsets of `sites`. Does nothing, and adds nothing, where there is no probe.
pub fn convert_to_calls<'c>(
    context: &'c Context,
    module: &Module<'c>,
    library: &str,
    sites: &SiteTable,
) -> Result<(), ConversionError> {
    let probes: Vec<_> = nested(module.as_operation())
        .into_iter()
        .filter_map(|operation| Op::of(&operation).map(|op| (op, operation)))
        .collect();
    if probes.is_empty() {
        return Ok(());
    }
    add_library(context, module, library)?;
    let rewriter = IrRewriter::new(context);
    let offsets = Offsets::of(sites);
    for (op, operation) in &probes {
        check_function(*operation)?;
        convert_one(context, &rewriter, *op, *operation, &offsets)?;
    }
    for (_, operation) in probes.into_iter().rev() {
        rewriter.as_rewriter_base().erase_op(operation);
    }
    Ok(())
}

pub(super) fn add_library<'c>(
    context: &'c Context,
    module: &Module<'c>,
    library: &str,
) -> Result<(), ConversionError> {
    let library = parse_module(context, library, "kinstr-record-library").ok_or(ConversionError::Library)?;
    for operation in operations(library.body()) {
        module.body().append_operation((*operation).clone());
    }
    Ok(())
}

pub(super) fn check_function(operation: OperationRef<'_, '_>) -> Result<(), ConversionError> {
    let mut parent = operation.parent_operation();
    while let Some(current) = parent {
        let name = crate::ir::name(current);
        if name == "llvm.func" {
            return Ok(());
        }
        if name.ends_with(".func") {
            return Err(ConversionError::NotLlvm(symbol(current)));
        }
        parent = current.parent_operation();
    }
    Ok(())
}

/// Where things lie in a unit of one site table.
pub(super) struct Offsets {
    sites: u32,
    /// Of the first record.
    pub(super) records: u64,
    /// Of each site's first word.
    words: Vec<u64>,
    /// Of the first word of the table of lines, 0 if there is none.
    lines: u64,
}

impl Offsets {
    pub(super) fn of(table: &SiteTable) -> Self {
        let sites = u32::try_from(table.sites.len()).unwrap_or(u32::MAX);
        let first = table.first_words().into_iter();
        let words: Vec<u64> = first.map(|word| offset::words(sites) + 8 * word).collect();
        let is_table = |site: &ProbeSite| site.kind == SiteKind::Lines;
        let lines = table.sites.iter().position(is_table).map_or(0, |site| words[site]);
        Self { sites, records: offset::records(sites, table.word_count()), words, lines }
    }

    pub(super) fn counter(&self, site: u32) -> u64 {
        offset::counter(site, self.sites)
    }

    pub(super) fn words(&self, site: u32) -> u64 {
        self.words.get(site as usize).copied().unwrap_or(self.records)
    }

    /// The site of `operation`, which is in the table; 0 for an op that has none.
    fn site(&self, op: Op, operation: OperationRef<'_, '_>) -> Result<u32, ConversionError> {
        if matches!(op, Op::GetUnit | Op::ReadClock) {
            return Ok(0);
        }
        let site = needed(op, SITE, site_of(&operation))?;
        match site < self.sites {
            true => Ok(site),
            false => Err(ConversionError::NoSuchSite { op: op.name(), site, sites: self.sites }),
        }
    }
}

fn needed<T>(op: Op, attribute: &'static str, value: Option<T>) -> Result<T, ConversionError> {
    value.ok_or(ConversionError::Attribute { op: op.name(), attribute })
}

fn convert_one<'c>(
    context: &'c Context,
    rewriter: &IrRewriter<'c>,
    op: Op,
    operation: OperationRef<'c, '_>,
    offsets: &Offsets,
) -> Result<(), ConversionError> {
    let calls = Calls { context, at: operation };
    if op.is_intent() {
        return Err(ConversionError::Intent(op.name()));
    }
    let site = offsets.site(op, operation)?;
    let operands: Vec<_> = operation.operands().collect();
    let call = match op {
        Op::GetUnit => calls.call("get_unit", &[], Some("!llvm.ptr"))?,
        Op::ReadClock => calls.call("read_clock", &[], Some("i64"))?,
        Op::RecordInterval => {
            let at = calls.constant(offset::aggregate(site))?;
            calls.call("record_interval", &[operands[0], at, operands[1], operands[2]], None)?
        }
        Op::RecordEvent => {
            let records = calls.constant(offsets.records)?;
            let kind = u64::from(needed(op, KIND, kind_of(&operation))?);
            let word = u64::from(site) << ProbeRecord::SITE_SHIFT | kind << ProbeRecord::KIND_SHIFT;
            let word = calls.constant(word)?;
            calls.call("record_event", &[operands[0], records, word, operands[1]], None)?
        }
        Op::AddCount => {
            let at = calls.constant(offsets.counter(site))?;
            calls.call("add_count", &[operands[0], at], None)?
        }
        Op::AddTrips => {
            let at = calls.constant(offsets.counter(site))?;
            let step = needed(op, STEP, step_of(&operation).filter(|step| *step != 0))?;
            let (first, last) = (operands[1], calls.opaque(operands[2])?);
            let (from, to) = if step > 0 { (first, last) } else { (last, first) };
            let distance = calls.distance(from, to)?;
            let step = calls.constant(step.unsigned_abs())?;
            calls.call("add_trips", &[operands[0], at, distance, step], None)?
        }
        Op::RecordAccess | Op::RecordTouch => {
            let (function, first) = match op {
                Op::RecordAccess => ("record_access", offsets.counter(site)),
                _ => ("record_touch", offsets.lines),
            };
            let width = u64::from(needed(op, WIDTH, width_of(&operation))?);
            let (first, words) = (calls.constant(first)?, calls.constant(offsets.words(site))?);
            let width = calls.constant(width)?;
            calls.call(function, &[operands[0], first, words, width, operands[1], operands[2]], None)?
        }
        Op::RecordBranch | Op::RecordSwitch => {
            let function = if op == Op::RecordBranch { "record_branch" } else { "record_switch" };
            let (counter, words) =
                (calls.constant(offsets.counter(site))?, calls.constant(offsets.words(site))?);
            calls.call(function, &[operands[0], counter, words, operands[1]], None)?
        }
        // What is recorded is in memory already.
        Op::StoreUnit => return Ok(()),
        intent => return Err(ConversionError::Intent(intent.name())),
    };
    // melior prints the whole op into the error of a result that is not there: ask for the count first.
    if operation.result_count() == 1
        && let (Ok(old), Ok(new)) = (operation.result(0), call.result(0))
    {
        rewriter.as_rewriter_base().replace_all_uses_with(old.into(), new.into());
    }
    Ok(())
}

/// Builds LLVM-dialect ops in front of one op.
pub(super) struct Calls<'c, 'a> {
    pub(super) context: &'c Context,
    pub(super) at: OperationRef<'c, 'a>,
}

impl<'c, 'a> Calls<'c, 'a> {
    pub(super) fn call(
        &self,
        function: &str,
        operands: &[Value<'c, 'a>],
        result: Option<&str>,
    ) -> Result<OperationRef<'c, 'a>, ConversionError> {
        let context = self.context;
        let refused = || ConversionError::Build(format!("llvm.call @__kinstr_{function}"));
        let results = result.map(|text| Type::parse(context, text).ok_or_else(refused)).transpose()?;
        let sizes = [i32::try_from(operands.len()).unwrap_or(i32::MAX), 0];
        let callee = FlatSymbolRefAttribute::new(context, &format!("__kinstr_{function}"));
        let call = OperationBuilder::new("llvm.call", self.location())
            .add_attributes(&[
                (Identifier::new(context, "callee"), callee.into()),
                (
                    Identifier::new(context, "operandSegmentSizes"),
                    DenseI32ArrayAttribute::new(context, &sizes).into(),
                ),
                (
                    Identifier::new(context, "op_bundle_sizes"),
                    DenseI32ArrayAttribute::new(context, &[]).into(),
                ),
            ])
            .add_operands(operands)
            .add_results(results.as_slice())
            .build()
            .map_err(|_| refused())?;
        self.insert(call)
    }

    pub(super) fn constant(&self, value: u64) -> Result<Value<'c, 'a>, ConversionError> {
        let i64_type: Type<'c> = IntegerType::new(self.context, 64).into();
        // The attribute holds the same 64 bits; sites and offsets stay below 2^63.
        let value = IntegerAttribute::new(i64_type, value as i64);
        let constant = OperationBuilder::new("llvm.mlir.constant", self.location())
            .add_attributes(&[(Identifier::new(self.context, "value"), value.into())])
            .add_results(&[i64_type])
            .build()
            .map_err(|_| ConversionError::Build("llvm.mlir.constant".into()))?;
        let inserted = self.insert(constant)?;
        Ok(inserted.result(0).map_err(|_| ConversionError::Build("llvm.mlir.constant".into()))?.into())
    }

    /// The same value, which code generation cannot follow into the loop it came from; narrow ones are left as they are.
    pub(super) fn opaque(&self, value: Value<'c, 'a>) -> Result<Value<'c, 'a>, ConversionError> {
        let name = value.r#type().to_string();
        if !matches!(name.as_str(), "i32" | "i64") {
            return Ok(value);
        }
        let call = self.call(&format!("opaque_{name}"), &[value], Some(&name))?;
        Ok(call.result(0).map_err(|_| ConversionError::Build("llvm.call".into()))?.into())
    }

    /// `to - from` as 64 bits; a narrower variable wraps in its own width.
    pub(super) fn distance(
        &self,
        from: Value<'c, 'a>,
        to: Value<'c, 'a>,
    ) -> Result<Value<'c, 'a>, ConversionError> {
        let i64_type: Type<'c> = IntegerType::new(self.context, 64).into();
        let distance = self.value("llvm.sub", &[to, from], from.r#type())?;
        if from.r#type() == i64_type {
            return Ok(distance);
        }
        self.value("llvm.zext", &[distance], i64_type)
    }

    pub(super) fn value(
        &self,
        name: &str,
        operands: &[Value<'c, 'a>],
        result: Type<'c>,
    ) -> Result<Value<'c, 'a>, ConversionError> {
        let refused = |_| ConversionError::Build(name.to_owned());
        let op = OperationBuilder::new(name, self.location()).add_operands(operands).add_results(&[result]);
        Ok(self.insert(op.build().map_err(refused)?)?.result(0).map_err(refused)?.into())
    }

    fn location(&self) -> Location<'c> {
        self.at.location()
    }

    pub(super) fn insert(&self, operation: Operation<'c>) -> Result<OperationRef<'c, 'a>, ConversionError> {
        let block =
            self.at.block().ok_or_else(|| ConversionError::Build("an op outside any block".into()))?;
        Ok(block.insert_operation_before(self.at, operation))
    }
}

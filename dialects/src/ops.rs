//! Typed builders and queries for `kprobe` ops.

use melior::{
    Context,
    ir::{
        Attribute, Identifier, Location, Operation, Type, Value,
        attribute::IntegerAttribute,
        operation::{OperationBuilder, OperationLike},
        r#type::IntegerType,
    },
};

/// Attribute that holds the site id.
pub const SITE: &str = "site";
/// Attribute that holds the record kind of [`Op::RecordEvent`].
pub const KIND: &str = "kind";

/// Attribute that holds what a trip adds to an induction variable.
pub const STEP: &str = "step";
/// Attribute that holds the bytes one access moves.
pub const WIDTH: &str = "width";

/// Every op of the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table in README.md describes them")]
pub enum Op {
    Init,
    Flush,
    RegionBegin,
    RegionEnd,
    Count,
    Sample,
    Access,
    Touch,
    Branch,
    GetUnit,
    ReadClock,
    RecordInterval,
    RecordEvent,
    AddCount,
    CountTrips,
    AddTrips,
    RecordAccess,
    RecordTouch,
    RecordBranch,
    RecordSwitch,
    StoreUnit,
    CountBytes,
}

impl Op {
    const ALL: [(Op, &'static str); 22] = [
        (Op::Init, "kprobe.init"),
        (Op::Flush, "kprobe.flush"),
        (Op::RegionBegin, "kprobe.region_begin"),
        (Op::RegionEnd, "kprobe.region_end"),
        (Op::Count, "kprobe.count"),
        (Op::Sample, "kprobe.sample"),
        (Op::Access, "kprobe.access"),
        (Op::Touch, "kprobe.touch"),
        (Op::Branch, "kprobe.branch"),
        (Op::GetUnit, "kprobe.get_unit"),
        (Op::ReadClock, "kprobe.read_clock"),
        (Op::RecordInterval, "kprobe.record_interval"),
        (Op::RecordEvent, "kprobe.record_event"),
        (Op::AddCount, "kprobe.add_count"),
        (Op::CountTrips, "kprobe.count_trips"),
        (Op::AddTrips, "kprobe.add_trips"),
        (Op::RecordAccess, "kprobe.record_access"),
        (Op::RecordTouch, "kprobe.record_touch"),
        (Op::RecordBranch, "kprobe.record_branch"),
        (Op::RecordSwitch, "kprobe.record_switch"),
        (Op::StoreUnit, "kprobe.store_unit"),
        (Op::CountBytes, "kprobe.count_bytes"),
    ];

    /// Full name, e.g. `kprobe.count`.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The `kprobe` op that `operation` is, if it is one.
    pub fn of<'c: 'a, 'a>(operation: &impl OperationLike<'c, 'a>) -> Option<Op> {
        let name = operation.name();
        let name = name.as_string_ref();
        let name = name.as_str().ok()?;
        if !name.starts_with("kprobe.") {
            return None;
        }
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(op, _)| *op)
    }

    /// True for ops that say what to measure, false for those that say how.
    pub fn is_intent(self) -> bool {
        use Op::{
            Access, Branch, Count, CountBytes, CountTrips, Flush, Init, RegionBegin, RegionEnd, Sample, Touch,
        };
        matches!(
            self,
            Init | Flush
                | RegionBegin
                | RegionEnd
                | Count
                | Sample
                | CountTrips
                | CountBytes
                | Access
                | Touch
                | Branch
        )
    }
}

/// Site id on `operation`, if it carries one.
pub fn site_of<'c: 'a, 'a>(operation: &impl OperationLike<'c, 'a>) -> Option<u32> {
    integer(operation, SITE)
}

/// Record kind on a `kprobe.record_event`.
pub fn kind_of<'c: 'a, 'a>(operation: &impl OperationLike<'c, 'a>) -> Option<u32> {
    integer(operation, KIND)
}

/// What a trip adds to the induction variable, on a `kprobe.count_trips` or `kprobe.add_trips`.
pub fn step_of<'c: 'a, 'a>(operation: &impl OperationLike<'c, 'a>) -> Option<i64> {
    IntegerAttribute::try_from(operation.attribute(STEP).ok()?).ok().map(|step| step.value())
}

/// Bytes one access of a `kprobe.access`, `kprobe.touch` or their mechanism ops moves.
pub fn width_of<'c: 'a, 'a>(operation: &impl OperationLike<'c, 'a>) -> Option<u32> {
    integer(operation, WIDTH)
}

fn integer<'c: 'a, 'a>(operation: &impl OperationLike<'c, 'a>, name: &str) -> Option<u32> {
    let attribute = IntegerAttribute::try_from(operation.attribute(name).ok()?).ok()?;
    u32::try_from(attribute.value()).ok()
}

/// Builds `kprobe` ops at one location.
#[derive(Clone, Copy)]
pub struct Builder<'c> {
    context: &'c Context,
    location: Location<'c>,
}

/// An op that could not be built: the dialect is not loaded in this context.
#[derive(Debug, thiserror::Error)]
#[error("could not build `{0}`: is the kprobe dialect loaded?")]
pub struct BuildError(pub &'static str);

impl<'c> Builder<'c> {
    /// Ops built with this builder sit at `location`.
    pub fn new(context: &'c Context, location: Location<'c>) -> Self {
        Self { context, location }
    }

    /// `kprobe.init`: this function holds probes.
    pub fn init(self) -> Result<Operation<'c>, BuildError> {
        self.build(Op::Init, &[], &[], &[])
    }

    /// `kprobe.flush`: what is still in registers goes to memory.
    pub fn flush(self) -> Result<Operation<'c>, BuildError> {
        self.build(Op::Flush, &[], &[], &[])
    }

    /// `kprobe.region_begin {site}`.
    pub fn region_begin(self, site: u32) -> Result<Operation<'c>, BuildError> {
        self.build(Op::RegionBegin, &[self.integer(SITE, site)], &[], &[])
    }

    /// `kprobe.region_end {site}`.
    pub fn region_end(self, site: u32) -> Result<Operation<'c>, BuildError> {
        self.build(Op::RegionEnd, &[self.integer(SITE, site)], &[], &[])
    }

    /// `kprobe.count {site}`: one execution.
    pub fn count(self, site: u32) -> Result<Operation<'c>, BuildError> {
        self.build(Op::Count, &[self.integer(SITE, site)], &[], &[])
    }

    /// `kprobe.count_bytes {site}`: a copy or fill of `length` bytes.
    pub fn count_bytes(self, site: u32, length: Value<'c, '_>) -> Result<Operation<'c>, BuildError> {
        self.build(Op::CountBytes, &[self.integer(SITE, site)], &[length], &[])
    }

    /// `kprobe.sample {site}`: a value to keep, an i64.
    pub fn sample(self, site: u32, value: Value<'c, '_>) -> Result<Operation<'c>, BuildError> {
        self.build(Op::Sample, &[self.integer(SITE, site)], &[value], &[])
    }

    /// `kprobe.access {site, width}`: `width` bytes are accessed at each of `pointer`'s lanes that `mask` has on.
    pub fn access(
        self,
        site: u32,
        width: u32,
        pointer: Value<'c, '_>,
        mask: Option<Value<'c, '_>>,
    ) -> Result<Operation<'c>, BuildError> {
        self.lanes(Op::Access, site, width, pointer, mask)
    }

    /// `kprobe.touch {site, width}`: the cache lines of the same access.
    pub fn touch(
        self,
        site: u32,
        width: u32,
        pointer: Value<'c, '_>,
        mask: Option<Value<'c, '_>>,
    ) -> Result<Operation<'c>, BuildError> {
        self.lanes(Op::Touch, site, width, pointer, mask)
    }

    fn lanes(
        self,
        op: Op,
        site: u32,
        width: u32,
        pointer: Value<'c, '_>,
        mask: Option<Value<'c, '_>>,
    ) -> Result<Operation<'c>, BuildError> {
        let operands: Vec<_> = std::iter::once(pointer).chain(mask).collect();
        self.build(op, &[self.integer(SITE, site), self.integer(WIDTH, width)], &operands, &[])
    }

    /// `kprobe.branch {site}`: the condition of a branch, or what a switch looks at.
    pub fn branch(self, site: u32, outcome: Value<'c, '_>) -> Result<Operation<'c>, BuildError> {
        self.build(Op::Branch, &[self.integer(SITE, site)], &[outcome], &[])
    }

    /// `kprobe.get_unit`: the record memory of this thread or warp.
    pub fn get_unit(self) -> Result<Operation<'c>, BuildError> {
        let unit = Type::parse(self.context, "!kprobe.unit").ok_or(BuildError("kprobe.get_unit"))?;
        self.build(Op::GetUnit, &[], &[], &[unit])
    }

    /// `kprobe.store_unit`: what a function kept in registers goes to the record memory.
    pub fn store_unit(self, unit: Value<'c, '_>) -> Result<Operation<'c>, BuildError> {
        self.build(Op::StoreUnit, &[], &[unit], &[])
    }

    /// `kprobe.read_clock`: the device clock in ticks.
    pub fn read_clock(self) -> Result<Operation<'c>, BuildError> {
        self.build(Op::ReadClock, &[], &[], &[IntegerType::new(self.context, 64).into()])
    }

    /// `kprobe.record_interval {site}`: `end - begin` goes to the site's aggregate.
    pub fn record_interval(
        self,
        site: u32,
        unit: Value<'c, '_>,
        begin: Value<'c, '_>,
        end: Value<'c, '_>,
    ) -> Result<Operation<'c>, BuildError> {
        self.build(Op::RecordInterval, &[self.integer(SITE, site)], &[unit, begin, end], &[])
    }

    /// `kprobe.record_event {site, kind}`: one 8-byte record whose low half is `payload`.
    pub fn record_event(
        self,
        site: u32,
        kind: u32,
        unit: Value<'c, '_>,
        payload: Value<'c, '_>,
    ) -> Result<Operation<'c>, BuildError> {
        let attributes = [self.integer(SITE, site), self.integer(KIND, kind)];
        self.build(Op::RecordEvent, &attributes, &[unit, payload], &[])
    }

    /// `kprobe.add_count {site}`: the site's counter goes up by one.
    pub fn add_count(self, site: u32, unit: Value<'c, '_>) -> Result<Operation<'c>, BuildError> {
        self.build(Op::AddCount, &[self.integer(SITE, site)], &[unit], &[])
    }

    /// `kprobe.count_trips {site, step}`: a loop was left that moved a variable from `first` to `last`, `step` a trip.
    pub fn count_trips(
        self,
        site: u32,
        step: i64,
        first: Value<'c, '_>,
        last: Value<'c, '_>,
    ) -> Result<Operation<'c>, BuildError> {
        self.build(Op::CountTrips, &[self.integer(SITE, site), self.step(step)], &[first, last], &[])
    }

    /// `kprobe.add_trips {site, step}`: the site's counter goes up by `(last - first) / step`, rounded up.
    pub fn add_trips(
        self,
        site: u32,
        step: i64,
        unit: Value<'c, '_>,
        first: Value<'c, '_>,
        last: Value<'c, '_>,
    ) -> Result<Operation<'c>, BuildError> {
        self.build(Op::AddTrips, &[self.integer(SITE, site), self.step(step)], &[unit, first, last], &[])
    }

    fn step(self, step: i64) -> (Identifier<'c>, Attribute<'c>) {
        let kind = IntegerType::new(self.context, 64).into();
        (Identifier::new(self.context, STEP), IntegerAttribute::new(kind, step).into())
    }

    /// `kprobe.record_access` or `kprobe.record_touch`, whichever `op` is: one lane, if `active`.
    pub fn record_lane(
        self,
        op: Op,
        site: u32,
        width: u32,
        unit: Value<'c, '_>,
        pointer: Value<'c, '_>,
        active: Value<'c, '_>,
    ) -> Result<Operation<'c>, BuildError> {
        let attributes = [self.integer(SITE, site), self.integer(WIDTH, width)];
        self.build(op, &attributes, &[unit, pointer, active], &[])
    }

    /// `kprobe.record_branch {site}`: a branch that is taken if `outcome`.
    pub fn record_branch(
        self,
        site: u32,
        unit: Value<'c, '_>,
        outcome: Value<'c, '_>,
    ) -> Result<Operation<'c>, BuildError> {
        self.build(Op::RecordBranch, &[self.integer(SITE, site)], &[unit, outcome], &[])
    }

    /// `kprobe.record_switch {site}`: a switch over `value`.
    pub fn record_switch(
        self,
        site: u32,
        unit: Value<'c, '_>,
        value: Value<'c, '_>,
    ) -> Result<Operation<'c>, BuildError> {
        self.build(Op::RecordSwitch, &[self.integer(SITE, site)], &[unit, value], &[])
    }

    fn integer(self, name: &str, value: u32) -> (Identifier<'c>, Attribute<'c>) {
        let kind = IntegerType::new(self.context, 32).into();
        (Identifier::new(self.context, name), IntegerAttribute::new(kind, value.into()).into())
    }

    fn build(
        self,
        op: Op,
        attributes: &[(Identifier<'c>, Attribute<'c>)],
        operands: &[Value<'c, '_>],
        results: &[Type<'c>],
    ) -> Result<Operation<'c>, BuildError> {
        OperationBuilder::new(op.name(), self.location)
            .add_attributes(attributes)
            .add_operands(operands)
            .add_results(results)
            .build()
            .map_err(|_| BuildError(op.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_declaration_order() {
        for (index, (op, name)) in Op::ALL.iter().enumerate() {
            assert_eq!(*op as usize, index);
            assert!(crate::load::DEFINITION.contains(&format!("@{} ", &name["kprobe.".len()..])));
        }
    }
}

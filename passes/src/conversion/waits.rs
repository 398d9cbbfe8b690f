//! Work that a timed wait on a GPU is not to delay.
//!
//! `ptxas` moves no instruction across a read of the clock. Without probes it computes what follows a wait (addresses, conditions)
//! while the wait lasts; with them it would come after it, in every trip of a loop. So what needs nothing of the wait goes before
//! the first of the reads.

use crate::ir::{blocks, body, name, operations};
use kinstr_dialects::ops::{Op, site_of};
use kinstr_trace::sites::{SiteKind, SiteTable};
use melior::{
    Context, IrRewriter,
    ir::{
        BlockRef, OperationRef, Value, ValueLike,
        operation::{OperationLike, OperationResult},
    },
};
use std::collections::HashSet;

/// Ops without effects that are an instruction or two, and worth to be done while a warp waits.
const CHEAP: [&str; 22] = [
    "llvm.add",
    "llvm.sub",
    "llvm.mul",
    "llvm.shl",
    "llvm.lshr",
    "llvm.ashr",
    "llvm.and",
    "llvm.or",
    "llvm.xor",
    "llvm.icmp",
    "llvm.select",
    "llvm.zext",
    "llvm.sext",
    "llvm.trunc",
    "llvm.getelementptr",
    "llvm.ptrtoint",
    "llvm.inttoptr",
    "llvm.addrspacecast",
    "llvm.bitcast",
    "llvm.mlir.constant",
    "llvm.extractvalue",
    "llvm.insertvalue",
];

/// Moves cheap ops from behind the timed waits of `function` to before them.
pub(super) fn clear_waits<'c>(context: &'c Context, function: OperationRef<'c, '_>, sites: &SiteTable) {
    let Some(region) = body(function) else { return };
    let rewriter = IrRewriter::new(context);
    for block in blocks(region) {
        for (operation, before) in moves(block, sites) {
            rewriter.as_rewriter_base().move_op_before(operation, before);
        }
    }
}

/// The ops of a block that move, in order, each with the read that it moves before.
fn moves<'c, 'a>(
    block: BlockRef<'c, 'a>,
    sites: &SiteTable,
) -> Vec<(OperationRef<'c, 'a>, OperationRef<'c, 'a>)> {
    let list: Vec<_> = operations(block).collect();
    let waits: Vec<_> = list.iter().filter_map(|operation| wait(*operation, sites)).collect();
    let mut moves = Vec::new();
    // Where the waits began that nothing but cheap ops was done since, and what cannot go before that.
    let mut first: Option<OperationRef<'c, 'a>> = None;
    let mut stay: HashSet<Raw> = HashSet::new();
    let mut waiting = false;
    for operation in list {
        let begins = waits.iter().any(|(begin, _)| *begin == operation);
        let ends = waits.iter().any(|(_, end)| *end == operation);
        if begins {
            first.get_or_insert(operation);
        }
        waiting = (waiting || begins) && !ends;
        let Some(before) = first else { continue };
        let is_probe = Op::of(&operation).is_some();
        let is_cheap = !is_probe && CHEAP.contains(&name(operation).as_str());
        if is_cheap && !waiting && operation.operands().all(|operand| !is_made_by(operand, &stay)) {
            moves.push((operation, before));
            continue;
        }
        stay.insert(raw(operation));
        if !is_cheap && !is_probe && !waiting {
            first = None;
            stay.clear();
        }
    }
    moves
}

/// The reads of the clock around a wait that `interval` records.
fn wait<'c, 'a>(
    interval: OperationRef<'c, 'a>,
    sites: &SiteTable,
) -> Option<(OperationRef<'c, 'a>, OperationRef<'c, 'a>)> {
    if Op::of(&interval) != Some(Op::RecordInterval) {
        return None;
    }
    let kind = sites.sites.get(site_of(&interval)? as usize)?.kind;
    if !matches!(kind, SiteKind::Barrier | SiteKind::AsyncWait) {
        return None;
    }
    let read =
        |index| maker(interval.operand(index).ok()?).filter(|read| Op::of(read) == Some(Op::ReadClock));
    read(1).zip(read(2))
}

/// An op, for telling it from others.
type Raw = *const std::ffi::c_void;

fn raw(operation: OperationRef<'_, '_>) -> Raw {
    operation.to_raw().ptr.cast_const()
}

fn is_made_by(value: Value<'_, '_>, operations: &HashSet<Raw>) -> bool {
    maker(value).is_some_and(|maker| operations.contains(&raw(maker)))
}

fn maker<'c, 'a>(value: Value<'c, 'a>) -> Option<OperationRef<'c, 'a>> {
    // melior prints what it refuses, and printing an op numbers its whole function: ask first.
    let made = value.is_operation_result().then(|| OperationResult::try_from(value).ok())?;
    made.map(|result| result.owner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{context, ffi::parse_module, ir::functions};
    use kinstr_trace::sites::ProbeSite;
    use melior::ir::RegionLike;

    fn site(id: u32, kind: SiteKind) -> ProbeSite {
        let (probe, name, function) = ("test".into(), "wait".into(), "f".into());
        let (place, parent, lines) = (None, None, vec![]);
        ProbeSite {
            id,
            probe,
            kind,
            name,
            function,
            place,
            loop_depth: 0,
            parent,
            counts_trips: false,
            words: 0,
            lines,
        }
    }

    /// The ops of a function whose only block is `body`, behind a unit handle `%u`, once waits of `kinds` are cleared.
    fn cleared(body: &str, kinds: &[SiteKind]) -> Vec<String> {
        let text = format!(
            "llvm.func @f(%a: i64, %p: !llvm.ptr) {{ %u = \"kprobe.get_unit\"() : () -> !kprobe.unit {body} llvm.return }}"
        );
        let (context, _) = context::create().unwrap();
        let module = parse_module(&context, &text, "test.mlir").unwrap();
        let sites = kinds.iter().zip(0..).map(|(kind, id)| site(id, *kind)).collect();
        let function = functions(&module, "llvm")[0];
        clear_waits(&context, function, &SiteTable { sites, ..SiteTable::default() });
        let block = crate::ir::body(function).and_then(|region| region.first_block()).unwrap();
        operations(block).map(name).skip(1).collect()
    }

    /// A wait of `site` that makes `%w{site}`, between its reads.
    fn timed(site: u32) -> String {
        let read = "\"kprobe.read_clock\"() : () -> i64";
        format!(
            "%b{site} = {read} %w{site} = llvm.load volatile %p : !llvm.ptr -> i64 %e{site} = {read} \
             \"kprobe.record_interval\"(%u, %b{site}, %e{site}) {{site = {site} : i32}} : (!kprobe.unit, i64, i64) -> () "
        )
    }

    const READ: &str = "kprobe.read_clock";
    const WAIT: [&str; 4] = [READ, "llvm.load", READ, "kprobe.record_interval"];

    #[test]
    fn what_needs_nothing_of_waits_goes_before_the_first() {
        let body = format!(
            "{} %x = llvm.add %a, %a : i64 %y = llvm.mul %w0, %x : i64 {} %z = llvm.sub %x, %a : i64 \
             llvm.store %z, %p : i64, !llvm.ptr %v = llvm.or %a, %a : i64",
            timed(0),
            timed(1)
        );
        let wanted = [
            &["llvm.add", "llvm.sub"][..],
            &WAIT,
            &["llvm.mul"],
            &WAIT,
            // What was behind other work stays there.
            &["llvm.store", "llvm.or", "llvm.return"],
        ]
        .concat();
        assert_eq!(cleared(&body, &[SiteKind::Barrier, SiteKind::AsyncWait]), wanted);
    }

    #[test]
    fn regions_keep_what_follows_them() {
        let body = format!("{} %x = llvm.add %a, %a : i64", timed(0));
        let wanted = [&WAIT[..], &["llvm.add", "llvm.return"]].concat();
        assert_eq!(cleared(&body, &[SiteKind::Region]), wanted);
    }
}

//! Ops that fold the innermost loop into one value: row reductions.
//!
//! Where the order does not matter (integers, maxima and minima, sums and products that `fastmath<reassoc>` or `fast` frees), a warp or
//! a block has a row, by its length: each thread folds its part, shuffles and shared memory fold the threads' parts. Where it does,
//! every row is folded in order by one thread, but what is folded is computed by the whole block, neighbours together, and
//! handed over in shared memory.

use super::{
    ACCESS, SHARED_SPACE, THREADS,
    generic::{Generic, Reach, bytes_of, defining, is_same, uses},
    splice::{Combiner, Kernel},
    text::{Text, zeros},
};
use crate::ir::name;
use melior::ir::{BlockLike, OperationRef, Value, ValueLike, operation::OperationLike};

/// Lanes of a warp.
const WARP: usize = 32;
/// A warp's rows are up to so long: each lane then has 32 elements, and a block of 256 lanes would have four each.
const SHORT: usize = 1024;

/// Nothing if more than the innermost loop is folded, or more than one value results.
pub(super) fn kernel(generic: &Generic<'_, '_>) -> Option<Kernel> {
    let (last, outer) = generic.parallel.split_last()?;
    let output = generic.output()?;
    let inner = outer.len();
    let reads = |operand: &super::generic::Operand<'_, '_>| operand.reach(inner) != Reach::Apart;
    let fits = !last
        && outer.iter().all(|parallel| *parallel)
        && output.reach(inner) == Reach::Same
        && output.is_read
        && bytes_of(&output.element).is_some()
        && generic.operands.iter().all(reads);
    let (combiner, op) = (fits && generic.is_pure()).then(|| combiner(generic))??;
    let kept = neutral(op, &output.element).filter(|_| output.element.ends_with("32"));
    let rows = Rows { generic, text: Text::folding(generic), element: output.element.clone() };
    let text = match kept {
        Some(neutral) => rows.shared_out(&neutral),
        None => rows.in_order(),
    };
    Some(Kernel { text: text?, combiner: Some(combiner) })
}

/// The body's last op, if it is all that sees the sum so far, and makes one value of two that are alike.
fn combiner<'c, 'a>(generic: &Generic<'c, 'a>) -> Option<(Combiner, OperationRef<'c, 'a>)> {
    let sum: Value<'c, 'a> = generic.block.argument(generic.inputs).ok()?.into();
    let op = defining(*generic.yielded().first()?)?;
    let [one, other] = op.operands().collect::<Vec<_>>().try_into().ok()?;
    let is_alike = |value: Value<'c, 'a>| value.r#type() == sum.r#type();
    if op.result_count() != 1 || !is_alike(one) || !is_alike(other) || !is_alike(op.result(0).ok()?.into()) {
        return None;
    }
    let is_last = uses(generic.block, sum) == 1 && generic.body().last().is_some_and(|last| *last == op);
    let place = [one, other].iter().position(|operand| is_same(*operand, sum))?;
    is_last.then_some((Combiner { sum: place }, op))
}

/// What changes nothing under `op`, where its order does not matter.
fn neutral(op: OperationRef<'_, '_>, element: &str) -> Option<String> {
    let flags = op.attribute("fastmath").map(|flags| flags.to_string()).unwrap_or_default();
    let is_free = flags.contains("reassoc") || flags.contains("<fast>");
    // A promise that holds in the order of the loop alone, or that what changes nothing would break.
    let overflow = op.attribute("overflowFlags").map(|flags| flags.to_string()).unwrap_or_default();
    let promises = ["nnan", "ninf", "<fast>"].iter().any(|flag| flags.contains(flag));
    if ["nsw", "nuw"].iter().any(|flag| overflow.contains(flag)) || (promises && !name(op).ends_with(".addf"))
    {
        return None;
    }
    let (minimum, maximum) = match element {
        "i32" => ("-2147483648", "2147483647"),
        _ => ("0xFF800000", "0x7F800000"),
    };
    let neutral = match name(op).as_str() {
        "arith.addi" | "arith.ori" | "arith.xori" | "arith.maxui" => "0",
        "arith.muli" => "1",
        "arith.andi" | "arith.minui" => "-1",
        "arith.maxsi" | "arith.maximumf" => minimum,
        "arith.minsi" | "arith.minimumf" => maximum,
        // Of a number and what is none, these answer the number.
        "arith.maxnumf" | "arith.minnumf" => "0x7FC00000",
        "arith.addf" if is_free => "-0.0",
        "arith.mulf" if is_free => "1.0",
        _ => return None,
    };
    Some(format!("arith.constant {neutral} : {element}"))
}

struct Rows<'g, 'c, 'a> {
    generic: &'g Generic<'c, 'a>,
    text: Text<'g, 'c, 'a>,
    /// Type of the sums.
    element: String,
}

impl Rows<'_, '_, '_> {
    fn extents(&mut self) -> Option<(Vec<String>, String)> {
        let mut extents = (0..self.generic.parallel.len())
            .map(|loop_| self.text.extent(loop_))
            .collect::<Option<Vec<_>>>()?;
        let inner = extents.pop()?;
        Some((extents, inner))
    }

    /// What joins the sum of `row` at `column`.
    fn value(&mut self, row: &[String], column: &str) -> String {
        let indices: Vec<_> = row.iter().cloned().chain([column.to_owned()]).collect();
        let read: Vec<_> =
            self.text.read().into_iter().map(|operand| self.text.load(operand, &indices)).collect();
        self.text.compute(&indices, &read).remove(0)
    }

    fn launch(&mut self, [blocks, lanes, lines]: [&str; 3], shared: &str) {
        self.text.unless_none(blocks);
        self.text.put(&format!(
            "gpu.launch blocks(%bx, %by, %bz) in (%gx = {blocks}, %gy = %c1, %gz = %c1) \
             threads(%tx, %ty, %tz) in (%sx = {lanes}, %sy = {lines}, %sz = %c1) \
             workgroup(%shared : {shared}) {{"
        ));
    }

    /// A warp or a block a row.
    fn shared_out(mut self, neutral: &str) -> Option<String> {
        let element = self.element.clone();
        let shared = format!("memref<{}x{element}, {SHARED_SPACE}", THREADS / WARP);
        let (outer, inner) = self.extents()?;
        let rows = self.text.product(&outer);
        let reads = self.wide();
        let width = reads.iter().filter_map(|read| bytes_of(&self.generic.operands[*read].element)).min();
        let width = width.map_or(1, |bytes| ACCESS / bytes);
        let length = self.text.index("muli", &inner, &format!("%c{}", ACCESS / width));
        let aligned = self.text.is_aligned(&reads, &[length]);
        let t = &mut self.text;
        let is_short = t.compare("ule", &inner, &format!("%c{SHORT}"));
        let lanes = t.choose(&is_short, &format!("%c{WARP}"), &format!("%c{THREADS}"));
        let lines = t.index("divui", &format!("%c{THREADS}"), &lanes);
        let blocks = t.index("ceildivui", &rows, &lines);
        self.launch([&blocks, &lanes, &lines], &shared);
        let t = &mut self.text;
        t.put(&format!(
            "%top = arith.muli %bx, %sy : index\n%line = arith.addi %top, %ty : index\n\
             %inside = arith.cmpi ult, %line, {rows} : index\n\
             %lane = arith.remui %tx, %c{WARP} : index\n%warp = arith.divui %tx, %c{WARP} : index\n\
             %warps = arith.divui %sx, %c{WARP} : index\n%slot = arith.addi %ty, %warp : index\n\
             %leads = arith.cmpi eq, %lane, %c0 : index\n%first = arith.cmpi eq, %tx, %c0 : index\n\
             %neutral = {neutral}\n%part = scf.if %inside -> ({element}) {{"
        ));
        let row = t.unfold("%line", &outer);
        let part = self.part(&row, &inner, &aligned, width);
        self.text
            .put(&format!("scf.yield {part} : {element}\n}} else {{\nscf.yield %neutral : {element}\n}}"));
        let part = self.fold_warp("%part".to_owned());
        self.text.put(&format!(
            "scf.if %leads {{\nmemref.store {part}, %shared[%slot] : {shared}\n}}\ngpu.barrier\n\
             %writes = arith.andi %first, %inside : i1\nscf.if %writes {{"
        ));
        let row = self.text.unfold("%line", &outer);
        let indices: Vec<_> = row.into_iter().chain(["%c0".to_owned()]).collect();
        let before = self.text.load(self.generic.inputs, &indices);
        self.text.put(&format!(
            "%all = scf.for %w = %c0 to %warps step %c1 iter_args(%sum = {before}) -> ({element}) {{\n\
             %at = arith.addi %ty, %w : index\n%other = memref.load %shared[%at] : {shared}"
        ));
        let sum = self.text.combine("%sum", "%other");
        self.text.put(&format!("scf.yield {sum} : {element}\n}}"));
        self.text.store("%all", self.generic.inputs, &indices);
        self.text.put("}");
        self.text.end_launch();
        Some(self.text.finish())
    }

    /// Inputs of which a thread may take 16 bytes at once.
    fn wide(&self) -> Vec<usize> {
        let inner = self.generic.parallel.len() - 1;
        let is_wide = |index: &usize| self.generic.operands[*index].reach(inner) == Reach::Wide;
        self.text.read().into_iter().filter(is_wide).collect()
    }

    /// A thread's part of a row: by vectors if rows are aligned and as long as whole vectors, else by elements.
    fn part(&mut self, row: &[String], inner: &str, aligned: &str, width: usize) -> String {
        let element = self.element.clone();
        let part = self.text.name();
        self.text.put(&format!("{part} = scf.if {aligned} -> ({element}) {{"));
        let first = self.text.index("muli", "%tx", &format!("%c{width}"));
        let step = self.text.index("muli", "%sx", &format!("%c{width}"));
        self.text.put(&format!(
            "%wide = scf.for %j = {first} to {inner} step {step} iter_args(%sum = %neutral) -> ({element}) {{"
        ));
        let sum = self.vector(row, width);
        self.text.put(&format!("scf.yield {sum} : {element}\n}}\nscf.yield %wide : {element}\n}} else {{"));
        self.text.put(&format!(
            "%single = scf.for %j = %tx to {inner} step %sx iter_args(%sum = %neutral) -> ({element}) {{"
        ));
        let value = self.value(row, "%j");
        let sum = self.text.combine("%sum", &value);
        self.text.put(&format!("scf.yield {sum} : {element}\n}}\nscf.yield %single : {element}\n}}"));
        part
    }

    /// The elements from `%j` on, folded into `%sum`.
    fn vector(&mut self, row: &[String], width: usize) -> String {
        let points: Vec<Vec<String>> = (0..width)
            .map(|point| {
                let column = self.text.index("addi", "%j", &format!("%c{point}"));
                row.iter().cloned().chain([column]).collect()
            })
            .collect();
        let wide = self.wide();
        let mut read = vec![Vec::new(); width];
        for operand in self.text.read() {
            let element = &self.generic.operands[operand].element;
            if wide.contains(&operand) {
                let vector = self.text.load_wide(operand, &points[0], width);
                let lanes = self.text.lanes(&vector, width, element);
                read.iter_mut().zip(lanes).for_each(|(read, lane)| read.push(lane));
            } else {
                read.iter_mut()
                    .zip(&points)
                    .for_each(|(read, point)| read.push(self.text.load(operand, point)));
            }
        }
        points.iter().zip(&read).fold("%sum".to_owned(), |sum, (point, read)| {
            let value = self.text.compute(point, read).remove(0);
            self.text.combine(&sum, &value)
        })
    }

    /// The parts of a warp's lanes, which all get the result.
    fn fold_warp(&mut self, part: String) -> String {
        let ty = self.element.clone();
        [16, 8, 4, 2, 1].iter().fold(part, |part, distance| {
            let (other, is_there) = (self.text.name(), self.text.name());
            self.text
                .put(&format!("{other}, {is_there} = gpu.shuffle xor {part}, %k{distance}, %k{WARP} : {ty}"));
            self.text.combine(&part, &other)
        })
    }

    /// Eight rows a line of threads: short rows get four lines of 64 threads, others one of 256.
    fn in_order(mut self) -> Option<String> {
        const ROWS: usize = 8;
        const FEW: usize = 64;
        let element = self.element.clone();
        // 32 rows of 64 elements, and one more each, so that threads with neighbouring rows read different banks; or 8 of 256.
        let room = THREADS * ROWS + THREADS / FEW * ROWS;
        let shared = format!("memref<{room}x{element}, {SHARED_SPACE}");
        let (outer, inner) = self.extents()?;
        let rows = self.text.product(&outer);
        let t = &mut self.text;
        let is_short = t.compare("ule", &inner, &format!("%c{}", 2 * FEW));
        let lanes = t.choose(&is_short, &format!("%c{FEW}"), &format!("%c{THREADS}"));
        let lines = t.index("divui", &format!("%c{THREADS}"), &lanes);
        let height = t.index("muli", &lines, &format!("%c{ROWS}"));
        let blocks = t.index("ceildivui", &rows, &height);
        self.launch([&blocks, &lanes, &lines], &shared);
        let t = &mut self.text;
        t.put(&format!(
            "%height = arith.muli %sy, %c{ROWS} : index\n%top = arith.muli %bx, %height : index\n\
             %before = arith.muli %ty, %sx : index\n%thread = arith.addi %before, %tx : index\n\
             %line = arith.addi %top, %thread : index\n\
             %in_tile = arith.cmpi ult, %thread, %height : index\n%in_rows = arith.cmpi ult, %line, {rows} : index\n\
             %folds = arith.andi %in_tile, %in_rows : i1\n%pitch = arith.addi %sx, %c1 : index\n\
             %mine = arith.muli %thread, %pitch : index\n\
             %last_row = arith.subi {rows}, %c1 : index\n%last_column = arith.subi {inner}, %c1 : index\n\
             {}\n%first = scf.if %folds -> ({element}) {{",
            zeros("%zero", &element)
        ));
        let row = self.indices("%line", &outer);
        let value = self.text.load(self.generic.inputs, &row);
        self.text.put(&format!(
            "scf.yield {value} : {element}\n}} else {{\nscf.yield %zero : {element}\n}}\n\
             %all = scf.for %step = %c0 to {inner} step %sx iter_args(%sum = %first) -> ({element}) {{\n\
             %j = arith.addi %step, %tx : index\n%column = arith.minui %j, %last_column : index"
        ));
        // Beyond the end, threads compute the last element again, and nobody looks.
        let mut stores = Vec::new();
        for number in 0..ROWS {
            let lines = self.text.index("muli", "%sy", &format!("%c{number}"));
            let line = self.text.index("addi", "%ty", &lines);
            let row = self.text.index("addi", "%top", &line);
            let row = self.text.index("minui", &row, "%last_row");
            let row = self.text.unfold(&row, &outer);
            let value = self.value(&row, "%column");
            let place = self.text.index("muli", &line, "%pitch");
            stores.push((value, self.text.index("addi", &place, "%tx")));
        }
        for (value, place) in stores {
            self.text.put(&format!("memref.store {value}, %shared[{place}] : {shared}"));
        }
        self.text.put(&format!(
            "gpu.barrier\n%left = arith.subi {inner}, %step : index\n%count = arith.minui %left, %sx : index\n\
             %next = scf.if %folds -> ({element}) {{\n%rest = arith.remui %count, %c{ROWS} : index\n\
             %whole = arith.subi %count, %rest : index"
        ));
        let some = self.fold_shared(["%c0", "%whole"], "%sum", ROWS, &shared);
        let every = self.fold_shared(["%whole", "%count"], &some, 1, &shared);
        self.text.put(&format!(
            "scf.yield {every} : {element}\n}} else {{\nscf.yield %sum : {element}\n}}\n\
             gpu.barrier\nscf.yield %next : {element}\n}}\nscf.if %folds {{"
        ));
        let row = self.indices("%line", &outer);
        self.text.store("%all", self.generic.inputs, &row);
        self.text.put("}");
        self.text.end_launch();
        Some(self.text.finish())
    }

    fn indices(&mut self, line: &str, outer: &[String]) -> Vec<String> {
        self.text.unfold(line, outer).into_iter().chain(["%c0".to_owned()]).collect()
    }

    /// A thread's row in shared memory, in order, `at_once` elements a turn so that their loads overlap.
    fn fold_shared(&mut self, [from, to]: [&str; 2], sum: &str, at_once: usize, shared: &str) -> String {
        let element = self.element.clone();
        let (folded, so_far, at) = (self.text.name(), self.text.name(), self.text.name());
        self.text.put(&format!(
            "{folded} = scf.for {at} = {from} to {to} step %c{at_once} iter_args({so_far} = {sum}) -> ({element}) {{"
        ));
        let begin = self.text.index("addi", "%mine", &at);
        let values: Vec<_> = (0..at_once)
            .map(|number| {
                let place = self.text.index("addi", &begin, &format!("%c{number}"));
                self.text.value(&format!("memref.load %shared[{place}] : {shared}"))
            })
            .collect();
        let sum = values.iter().fold(so_far, |sum, value| self.text.combine(&sum, value));
        self.text.put(&format!("scf.yield {sum} : {element}\n}}"));
        folded
    }
}

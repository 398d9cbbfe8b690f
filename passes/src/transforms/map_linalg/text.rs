//! A kernel's frame as MLIR text, written line by line.

use super::{
    ACCESS,
    generic::{Generic, Operand, View, bytes_of},
};
use std::{collections::BTreeSet, fmt::Write};

/// The text so far. Constants are written `%c8` (`index`) and `%k8` (`i32`) where they are used, and defined by [`Text::finish`];
/// operands are `%a0` and so on.
pub(super) struct Text<'g, 'c, 'a> {
    generic: &'g Generic<'c, 'a>,
    lines: String,
    values: usize,
    /// Values join the sum by `@combine`; else `@value` takes the sum too.
    folds: bool,
}

impl<'g, 'c, 'a> Text<'g, 'c, 'a> {
    /// A frame in which `@value` computes all of a point.
    pub(super) fn new(generic: &'g Generic<'c, 'a>) -> Self {
        Self { generic, lines: String::new(), values: 0, folds: false }
    }

    /// A frame in which `@value` computes what `@combine` folds into the output.
    pub(super) fn folding(generic: &'g Generic<'c, 'a>) -> Self {
        Self { folds: true, ..Self::new(generic) }
    }

    /// The operands that `@value` takes elements of.
    pub(super) fn read(&self) -> Vec<usize> {
        let operands = self.generic.operands.iter().enumerate();
        let read = operands
            .filter(|(index, operand)| operand.is_read && !(self.folds && *index >= self.generic.inputs));
        read.map(|(index, _)| index).collect()
    }

    /// What `@value` takes and answers.
    fn value_types(&self) -> (Vec<String>, Vec<String>) {
        let operands = &self.generic.operands;
        let indices = self.generic.parallel.iter().map(|_| "index".to_owned());
        let read = self.read().into_iter().map(|index| operands[index].element.clone());
        let results = operands[self.generic.inputs..].iter().map(|output| output.element.clone());
        (indices.chain(read).collect(), results.collect())
    }

    /// A line as it is.
    pub(super) fn put(&mut self, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
    }

    /// A name that nothing has yet.
    pub(super) fn name(&mut self) -> String {
        self.values += 1;
        format!("%v{}", self.values)
    }

    /// An op with one result, which it names.
    pub(super) fn value(&mut self, op: &str) -> String {
        let name = self.name();
        self.put(&format!("{name} = {op}"));
        name
    }

    /// An op of `arith` on two indices, e.g. `addi`.
    pub(super) fn index(&mut self, op: &str, one: &str, other: &str) -> String {
        self.value(&format!("arith.{op} {one}, {other} : index"))
    }

    /// A comparison of indices, e.g. `ult`.
    pub(super) fn compare(&mut self, how: &str, one: &str, other: &str) -> String {
        self.value(&format!("arith.cmpi {how}, {one}, {other} : index"))
    }

    /// What follows, a launch, is done if there are any `blocks`: a launch of none is an error. [`Text::end_launch`] closes both.
    pub(super) fn unless_none(&mut self, blocks: &str) {
        let some = self.compare("ne", blocks, "%c0");
        self.put(&format!("scf.if {some} {{"));
    }

    /// The end of a launch, and of what it depends on.
    pub(super) fn end_launch(&mut self) {
        self.put("gpu.terminator\n}\n}");
    }

    /// What `write` writes where `condition` holds, and what it writes where it does not.
    pub(super) fn either(&mut self, condition: &str, write: impl Fn(&mut Self, bool)) {
        self.put(&format!("scf.if {condition} {{"));
        write(self, true);
        self.put("} else {");
        write(self, false);
        self.put("}");
    }

    /// Both bits.
    pub(super) fn both(&mut self, one: &str, other: &str) -> String {
        self.value(&format!("arith.andi {one}, {other} : i1"))
    }

    /// A bit: both indices are below their ends.
    pub(super) fn is_inside(&mut self, indices: [&str; 2], ends: [&str; 2]) -> String {
        let [in_rows, in_columns] = [0, 1].map(|place| self.compare("ult", indices[place], ends[place]));
        self.both(&in_rows, &in_columns)
    }

    /// One index or another.
    pub(super) fn choose(&mut self, which: &str, one: &str, other: &str) -> String {
        self.value(&format!("arith.select {which}, {one}, {other} : index"))
    }

    /// How often `loop_` runs.
    pub(super) fn extent(&mut self, loop_: usize) -> Option<String> {
        let (operand, place) = self.generic.extent(loop_)?;
        let ty = &self.generic.operands[operand].ty;
        Some(self.value(&format!("memref.dim %a{operand}, %c{place} : {ty}")))
    }

    /// The product of `extents`.
    pub(super) fn product(&mut self, extents: &[String]) -> String {
        extents.iter().fold("%c1".to_owned(), |product, extent| match product.as_str() {
            "%c1" => extent.clone(),
            _ => self.index("muli", &product, extent),
        })
    }

    /// A bit: every address in `operands` and every length in `lengths`, which are in bytes, is a multiple of [`ACCESS`].
    pub(super) fn is_aligned(&mut self, operands: &[usize], lengths: &[String]) -> String {
        let mut all = lengths.to_vec();
        for operand in operands {
            let ty = &self.generic.operands[*operand].ty;
            let address = format!("memref.extract_aligned_pointer_as_index %a{operand} : {ty} -> index");
            all.push(self.value(&address));
        }
        let any =
            all.iter().skip(1).fold(all.first().cloned().unwrap_or_else(|| "%c0".into()), |any, next| {
                self.index("ori", &any, next)
            });
        let rest = self.index("remui", &any, &format!("%c{ACCESS}"));
        self.compare("eq", &rest, "%c0")
    }

    /// The indices of `row`, a number in the product of `extents`.
    pub(super) fn unfold(&mut self, row: &str, extents: &[String]) -> Vec<String> {
        let mut rest = row.to_owned();
        let mut indices: Vec<String> = Vec::new();
        for (place, extent) in extents.iter().enumerate().rev() {
            if place == 0 {
                indices.push(rest.clone());
            } else {
                indices.push(self.index("remui", &rest, extent));
                rest = self.index("divui", &rest, extent);
            }
        }
        indices.reverse();
        indices
    }

    /// An element of operand `operand` at the loops' `indices`.
    pub(super) fn load(&mut self, operand: usize, indices: &[String]) -> String {
        let Operand { ty, is_memref, .. } = &self.generic.operands[operand];
        if !is_memref {
            return format!("%a{operand}");
        }
        let place = self.place(operand, indices);
        self.value(&format!("memref.load {place} : {ty}"))
    }

    /// Stores one.
    pub(super) fn store(&mut self, value: &str, operand: usize, indices: &[String]) {
        let (place, ty) = (self.place(operand, indices), &self.generic.operands[operand].ty);
        self.put(&format!("memref.store {value}, {place} : {ty}"));
    }

    /// Neighbouring elements in one access, as many as `width`.
    pub(super) fn load_wide(&mut self, operand: usize, indices: &[String], width: usize) -> String {
        let place = self.place(operand, indices);
        let Operand { ty, element, .. } = &self.generic.operands[operand];
        let aligned = alignment(element, width);
        self.value(&format!("vector.load {place} {aligned} : {ty}, vector<{width}x{element}>"))
    }

    /// Neighbouring elements one by one, from column `from` on, zeros at `end` and after it.
    pub(super) fn load_each(
        &mut self,
        operand: usize,
        width: usize,
        [from, end]: [&str; 2],
        indices: impl Fn(&str) -> Vec<String>,
    ) -> String {
        let element = self.generic.operands[operand].element.clone();
        let mut elements = Vec::new();
        for lane in 0..width {
            let column = self.index("addi", from, &format!("%c{lane}"));
            let inside = self.compare("ult", &column, end);
            elements.push(self.guarded(&inside, &element, |text| text.load(operand, &indices(&column))));
        }
        self.value(&format!("vector.from_elements {} : vector<{width}x{element}>", elements.join(", ")))
    }

    /// What `then` writes, where `condition` holds, and zero elsewhere.
    pub(super) fn guarded(
        &mut self,
        condition: &str,
        ty: &str,
        then: impl FnOnce(&mut Self) -> String,
    ) -> String {
        let name = self.name();
        self.put(&format!("{name} = scf.if {condition} -> ({ty}) {{"));
        let value = then(self);
        let zero = self.name();
        self.put(&format!(
            "scf.yield {value} : {ty}\n}} else {{\n{}\nscf.yield {zero} : {ty}\n}}",
            zeros(&zero, ty)
        ));
        name
    }

    /// What `then` writes, where `condition` holds.
    pub(super) fn only_if(&mut self, condition: &str, then: impl FnOnce(&mut Self)) {
        self.put(&format!("scf.if {condition} {{"));
        then(self);
        self.put("}");
    }

    /// Stores neighbouring values: at once if `is_aligned`, else those before column `end`.
    pub(super) fn store_row(
        &mut self,
        values: &[String],
        operand: usize,
        [from, end]: [&str; 2],
        is_aligned: bool,
        indices: impl Fn(&str) -> Vec<String>,
    ) {
        if is_aligned {
            return self.store_wide(values, operand, &indices(from));
        }
        for (lane, value) in values.iter().enumerate() {
            let column = self.index("addi", from, &format!("%c{lane}"));
            let inside = self.compare("ult", &column, end);
            self.only_if(&inside, |text| text.store(value, operand, &indices(&column)));
        }
    }

    /// Stores neighbouring values in one access.
    pub(super) fn store_wide(&mut self, values: &[String], operand: usize, indices: &[String]) {
        let Operand { ty, element, .. } = &self.generic.operands[operand];
        let (vector, aligned) =
            (format!("vector<{}x{element}>", values.len()), alignment(element, values.len()));
        let whole = self.value(&format!("vector.from_elements {} : {vector}", values.join(", ")));
        let place = self.place(operand, indices);
        self.put(&format!("vector.store {whole}, {place} {aligned} : {ty}, {vector}"));
    }

    /// The elements of a vector that was loaded. Frozen, it stays one access in LLVM: else one load an element would be made of it,
    /// which the back end joins again, but behind the probes.
    pub(super) fn lanes(&mut self, vector: &str, width: usize, element: &str) -> Vec<String> {
        let ty = format!("vector<{width}x{element}>");
        let whole =
            if width > 1 { self.value(&format!("llvm.freeze {vector} : {ty}")) } else { vector.to_owned() };
        (0..width)
            .map(|lane| self.value(&format!("vector.extract {whole}[{lane}] : {element} from {ty}")))
            .collect()
    }

    /// A loop that carries `before` on: `body` is given the carried values and answers the next; `types` are theirs.
    pub(super) fn carry(
        &mut self,
        [variable, from, to, step]: [&str; 4],
        before: &[String],
        types: &[String],
        body: impl FnOnce(&mut Self, &[String]) -> Vec<String>,
    ) -> Vec<String> {
        let names: Vec<_> = before.iter().map(|_| self.name()).collect();
        let inner: Vec<_> = before.iter().map(|_| self.name()).collect();
        let given: Vec<_> =
            inner.iter().zip(before).map(|(inner, before)| format!("{inner} = {before}")).collect();
        let types = types.join(", ");
        self.put(&format!(
            "{} = scf.for {variable} = {from} to {to} step {step} iter_args({}) -> ({types}) {{",
            names.join(", "),
            given.join(", ")
        ));
        let next = body(self, &inner);
        self.put(&format!("scf.yield {} : {types}\n}}", next.join(", ")));
        names
    }

    /// `%a1[%i, %j]`.
    pub(super) fn place(&self, operand: usize, indices: &[String]) -> String {
        let own: Vec<_> =
            self.generic.operands[operand].map.iter().map(|loop_| indices[*loop_].as_str()).collect();
        format!("%a{operand}[{}]", own.join(", "))
    }

    /// What the op computes for one point: calls of `@value`.
    pub(super) fn compute(&mut self, indices: &[String], read: &[String]) -> Vec<String> {
        let given: Vec<&str> = indices.iter().chain(read).map(String::as_str).collect();
        let (parameters, results) = self.value_types();
        let names: Vec<_> = results.iter().map(|_| self.name()).collect();
        self.put(&format!(
            "{} = func.call @value({}) : ({}) -> ({})",
            names.join(", "),
            given.join(", "),
            parameters.join(", "),
            results.join(", ")
        ));
        names
    }

    /// Folds `value` into `sum`, both of the output's type.
    pub(super) fn combine(&mut self, sum: &str, value: &str) -> String {
        let ty = combined_type(self.generic);
        self.value(&format!("func.call @combine({sum}, {value}) : ({ty}, {ty}) -> {ty}"))
    }

    /// The module: everything so far, with its constants, as the body of `@kernel`.
    pub(super) fn finish(self) -> String {
        let (parameters, results) = self.value_types();
        let Self { generic, lines, .. } = self;
        let combined = combined_type(generic);
        let mut taken = Vec::new();
        let mut views = String::new();
        for (index, Operand { ty, view_of, .. }) in generic.operands.iter().enumerate() {
            match view_of {
                None => taken.push(format!("%a{index}: {ty}")),
                Some(View { ty: whole, groups }) => {
                    taken.push(format!("%whole{index}: {whole}"));
                    // Writing to a string does not fail.
                    let _ = writeln!(
                        views,
                        "%a{index} = memref.collapse_shape %whole{index} {groups} : {whole} into {ty}"
                    );
                }
            }
        }
        format!(
            "func.func private @value({}) -> ({})\nfunc.func private @combine({combined}, {combined}) -> {combined}\n\
             func.func @kernel({}) {{\n{views}{}{lines}return\n}}\n",
            parameters.join(", "),
            results.join(", "),
            taken.join(", "),
            constants(&lines),
        )
    }
}

/// A zero, or a vector of them, of type `ty`.
pub(super) fn zeros(name: &str, ty: &str) -> String {
    let is_float =
        ty.rsplit(['x', ' ']).next().is_some_and(|element| element.trim_end_matches('>').contains('f'));
    let zero = if is_float { "0.0" } else { "0" };
    if ty.starts_with("vector") {
        format!("{name} = arith.constant dense<{zero}> : {ty}")
    } else {
        format!("{name} = arith.constant {zero} : {ty}")
    }
}

/// What vectors in memory say of their alignment: they are as aligned as they are long.
pub(super) fn alignment(element: &str, width: usize) -> String {
    let bytes = (bytes_of(element).unwrap_or(1) * width).min(ACCESS);
    format!("{{alignment = {bytes} : i64}}")
}

/// Type of the sums.
fn combined_type(generic: &Generic<'_, '_>) -> String {
    generic.operands.last().map(|output| output.element.clone()).unwrap_or_default()
}

/// Definitions of the constants that `lines` name.
fn constants(lines: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric();
    let names = lines.split('%').skip(1).map(|rest| rest.split(|c| !is_part(c)).next().unwrap_or_default());
    let names: BTreeSet<&str> = names.collect();
    let mut text = String::new();
    for (prefix, ty) in [("c", "index"), ("k", "i32")] {
        let numbers = names.iter().filter_map(|name| name.strip_prefix(prefix)?.parse::<u64>().ok());
        for number in numbers {
            // Writing to a string does not fail.
            let _ = writeln!(text, "%{prefix}{number} = arith.constant {number} : {ty}");
        }
    }
    text
}

//! Ops whose loops are all parallel: each thread takes 16 bytes of every tensor at once.
//!
//! The innermost loop goes to `x`, the others together to `y`. Where all tensors are dense and follow all loops in order, there
//! is one loop. Whether rows and tensors begin at multiples of 16 bytes is asked when the kernel is launched; where they do not, a
//! block's threads take single elements, neighbours together, and so does the thread at the end of a row whose vector would not fit.

use super::{
    ACCESS, THREADS,
    generic::{Generic, Reach, bytes_of},
    splice::Kernel,
    text::Text,
};

/// Most blocks that a grid may have in `y`.
const MOST_DOWN: usize = 65_535;

/// Nothing if some tensor is walked across, as in a transpose.
pub(super) fn kernel(generic: &Generic<'_, '_>) -> Option<Kernel> {
    let inner = generic.parallel.len().checked_sub(1)?;
    let reach: Vec<Reach> = generic.operands.iter().map(|operand| operand.reach(inner)).collect();
    let fits = generic.parallel.iter().all(|parallel| *parallel)
        && generic.inputs < generic.operands.len()
        && !reach.contains(&Reach::Apart)
        && generic.operands[generic.inputs..]
            .iter()
            .zip(&reach[generic.inputs..])
            .all(|(output, reach)| output.is_memref && *reach != Reach::Same);
    let width = fits.then(|| width(generic, &reach))??;
    Some(Kernel { text: Map { generic, reach, width, text: Text::new(generic) }.write()?, combiner: None })
}

/// How many elements of the smallest type fit an access.
fn width(generic: &Generic<'_, '_>, reach: &[Reach]) -> Option<usize> {
    let wide = generic.operands.iter().zip(reach).filter(|(_, reach)| **reach == Reach::Wide);
    wide.filter_map(|(operand, _)| bytes_of(&operand.element)).min().map(|bytes| ACCESS / bytes)
}

struct Map<'g, 'c, 'a> {
    generic: &'g Generic<'c, 'a>,
    reach: Vec<Reach>,
    width: usize,
    text: Text<'g, 'c, 'a>,
}

impl Map<'_, '_, '_> {
    fn write(mut self) -> Option<String> {
        let inner = self.generic.parallel.len() - 1;
        let extents = (0..=inner).map(|loop_| self.text.extent(loop_)).collect::<Option<Vec<_>>>()?;
        let (outer, inner) = (&extents[..inner], &extents[inner]);
        let rows = self.text.product(outer);
        let aligned = self.aligned(outer.is_empty(), inner);
        let width = format!("%c{}", self.width);
        let t = &mut self.text;
        let chunks = t.index("ceildivui", inner, &width);
        let lanes = [128, 64, 32, 16].iter().fold(format!("%c{THREADS}"), |lanes, fewer| {
            let is_short = t.compare("ule", &chunks, &format!("%c{fewer}"));
            t.choose(&is_short, &format!("%c{fewer}"), &lanes)
        });
        let lanes = if outer.is_empty() { format!("%c{THREADS}") } else { lanes };
        let lines = t.index("divui", &format!("%c{THREADS}"), &lanes);
        let across = t.index("ceildivui", &chunks, &lanes);
        let down = t.index("ceildivui", &rows, &lines);
        let down = t.index("minui", &down, &format!("%c{MOST_DOWN}"));
        let blocks = t.index("muli", &across, &down);
        t.unless_none(&blocks);
        t.put(&format!(
            "gpu.launch blocks(%bx, %by, %bz) in (%gx = {across}, %gy = {down}, %gz = %c1) \
             threads(%tx, %ty, %tz) in (%sx = {lanes}, %sy = {lines}, %sz = %c1) {{"
        ));
        self.thread(outer, inner, &rows, &aligned);
        self.text.end_launch();
        Some(self.text.finish())
    }

    /// Tensors, and rows if there is more than one, begin where wide accesses may.
    fn aligned(&mut self, is_one_row: bool, inner: &str) -> String {
        let wide: Vec<usize> =
            (0..self.reach.len()).filter(|index| self.reach[*index] == Reach::Wide).collect();
        let mut lengths = Vec::new();
        if !is_one_row {
            // In units of the smallest type's bytes, which are what makes a row's length odd.
            lengths.push(self.text.index("muli", inner, &format!("%c{}", ACCESS / self.width)));
        }
        self.text.is_aligned(&wide, &lengths)
    }

    /// One thread's work: its part of each row.
    fn thread(&mut self, outer: &[String], inner: &str, rows: &str, aligned: &str) {
        let width = format!("%c{}", self.width);
        let t = &mut self.text;
        let span = t.index("muli", "%sx", &width);
        let base = t.index("muli", "%bx", &span);
        let near = t.index("muli", "%tx", &width);
        let own = t.index("addi", &base, &near);
        let own_end = t.index("addi", &own, &width);
        let fits = t.compare("ule", &own_end, inner);
        let together = t.both(aligned, &fits);
        let apart = t.index("addi", &base, "%tx");
        let end = t.index("addi", &base, &span);
        let start = t.choose(aligned, &own, &apart);
        let stop = t.choose(aligned, &own_end, &end);
        let stop = t.index("minui", &stop, inner);
        let step = t.choose(aligned, "%c1", "%sx");
        if outer.is_empty() {
            return self.row(Vec::new(), &together, &own, [&start, &stop, &step]);
        }
        let top = t.index("muli", "%by", "%sy");
        let first = t.index("addi", &top, "%ty");
        let stride = t.index("muli", "%gy", "%sy");
        t.put(&format!("scf.for %row = {first} to {rows} step {stride} {{"));
        let indices = t.unfold("%row", outer);
        self.row(indices, &together, &own, [&start, &stop, &step]);
        self.text.put("}");
    }

    fn row(&mut self, indices: Vec<String>, together: &str, own: &str, [start, stop, step]: [&str; 3]) {
        self.text.put(&format!("scf.if {together} {{"));
        self.vector(&indices, own);
        self.text.put(&format!("}} else {{\nscf.for %j = {start} to {stop} step {step} {{"));
        let indices = with(&indices, "%j");
        let read =
            self.text.read().into_iter().map(|operand| self.text.load(operand, &indices)).collect::<Vec<_>>();
        let results = self.text.compute(&indices, &read);
        for (index, result) in results.iter().enumerate() {
            self.text.store(result, self.generic.inputs + index, &indices);
        }
        self.text.put("}\n}");
    }

    /// Neighbouring points: everything is read, then everything is computed and written.
    fn vector(&mut self, outer: &[String], own: &str) {
        let first = with(outer, own);
        let mut points = vec![first.clone()];
        for point in 1..self.width {
            let next = self.text.index("addi", own, &format!("%c{point}"));
            points.push(with(outer, &next));
        }
        let mut read = vec![Vec::new(); self.width];
        for operand in self.text.read() {
            for (point, value) in self.elements(operand, &points).into_iter().enumerate() {
                read[point].push(value);
            }
        }
        let results: Vec<_> =
            points.iter().zip(&read).map(|(point, read)| self.text.compute(point, read)).collect();
        for output in self.generic.inputs..self.generic.operands.len() {
            let values: Vec<_> =
                results.iter().map(|point| point[output - self.generic.inputs].clone()).collect();
            self.store(output, &values, &points);
        }
    }

    fn elements(&mut self, operand: usize, points: &[Vec<String>]) -> Vec<String> {
        let t = &mut self.text;
        match self.reach[operand] {
            Reach::Same => vec![t.load(operand, &points[0]); points.len()],
            Reach::Wide => {
                let vector = t.load_wide(operand, &points[0], points.len());
                t.lanes(&vector, points.len(), &self.generic.operands[operand].element)
            }
            Reach::Single | Reach::Apart => points.iter().map(|point| t.load(operand, point)).collect(),
        }
    }

    fn store(&mut self, output: usize, values: &[String], points: &[Vec<String>]) {
        let t = &mut self.text;
        match self.reach[output] {
            Reach::Wide => t.store_wide(values, output, &points[0]),
            _ => values.iter().zip(points).for_each(|(value, point)| t.store(value, output, point)),
        }
    }
}

/// `outer` and one more.
fn with(outer: &[String], inner: &str) -> Vec<String> {
    outer.iter().cloned().chain([inner.to_owned()]).collect()
}

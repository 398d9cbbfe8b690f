//! Products of matrices on the ordinary units: tiles of both inputs in shared memory, turned so that the sum is their first
//! dimension, and up to 8x8 results a thread.
//!
//! Each result is summed in order, from the output's own value on, as a loop would: neither does a tile's end add zeros to it,
//! nor are two sums made of one. The next tiles are loaded while the current ones are used.

use super::{
    THREADS,
    generic::{Generic, bytes_of},
    product::{Product, Tile, Tiles, zeros},
    splice::Kernel,
    text::{Text, alignment},
};

/// Elements along the sum in a tile.
const DEPTH: usize = 16;
/// Threads in a row of a block's 16x16.
const ACROSS: usize = 16;
/// Neighbouring results of a thread: what one access of 16 bytes holds of f32.
const QUAD: usize = 4;
/// Rows or columns of a group, in which every thread has four: a thread's second four are a group away, so that neighbouring
/// threads read neighbouring fours.
const GROUP: usize = ACROSS * QUAD;
/// More columns in shared memory than in the tile, so that a column of it is spread over the banks.
const PADDING: usize = 4;

/// Nothing if the op is no product.
pub(super) fn kernel(generic: &Generic<'_, '_>) -> Option<Kernel> {
    let product = Product::read(generic)?;
    let is_indexed = generic.body().into_iter().any(|op| crate::ir::is(op, "linalg.index"));
    if is_indexed || !generic.operands.iter().all(|operand| operand.is_read) {
        return None;
    }
    // Sixteen results of 8 bytes fill as many registers as sixty-four of 4 would, with what else is needed.
    let widest = generic.operands.iter().filter_map(|operand| bytes_of(&operand.element)).max()?;
    let side = if widest > 4 { GROUP } else { 2 * GROUP };
    let tiles = [product.a, product.b].map(|operand| Tile::new(generic, &product, operand, [side, DEPTH]));
    let text = Text::new(generic);
    Some(Kernel { text: Contraction { generic, product, tiles, side, text }.write()?, combiner: None })
}

struct Contraction<'g, 'c, 'a> {
    generic: &'g Generic<'c, 'a>,
    product: Product,
    tiles: [Tile; 2],
    side: usize,
    text: Text<'g, 'c, 'a>,
}

impl Contraction<'_, '_, '_> {
    fn write(mut self) -> Option<String> {
        let shared = format!("%sa : {}, %sb : {}", self.shared(0), self.shared(1));
        let Tiles { extents, aligned } =
            Tiles::launch(&mut self.text, self.generic, &self.product, self.side, &shared)?;
        self.text.put(&format!(
            "%line = arith.divui %tx, %c{ACROSS} : index\n%lane = arith.remui %tx, %c{ACROSS} : index\n\
             %down = arith.muli %line, %c{QUAD} : index\n%across = arith.muli %lane, %c{QUAD} : index"
        ));
        let sums = self.first_sums(&extents, &aligned[2]);
        let sums = self.sum(sums, &extents, &aligned);
        self.store(&sums, &extents, &aligned[2]);
        self.text.put("gpu.terminator\n}");
        Some(self.text.finish())
    }

    fn element(&self, operand: usize) -> &str {
        &self.generic.operands[operand].element
    }

    /// Type of a tile in shared memory, twice: one to fill, one to use.
    fn shared(&self, tile: usize) -> String {
        let element = self.element(self.tiles[tile].operand);
        format!("memref<2x{DEPTH}x{}x{element}, #gpu.address_space<workgroup>>", self.side + PADDING)
    }

    /// Where a thread's results are, four at a time: their row, the first one's column.
    fn quads(&mut self) -> Vec<[String; 2]> {
        let groups = self.side / GROUP;
        let mut quads = Vec::new();
        for row in (0..groups).flat_map(|group| (0..QUAD).map(move |row| group * GROUP + row)) {
            let i = self.text.index("addi", "%down", &format!("%c{row}"));
            let i = self.text.index("addi", &i, "%top");
            for group in 0..groups {
                let j = self.text.index("addi", "%across", &format!("%c{}", group * GROUP));
                let j = self.text.index("addi", &j, "%left");
                quads.push([i.clone(), j]);
            }
        }
        quads
    }

    /// What the output holds before.
    fn first_sums(&mut self, [m, n, _]: &[String; 3], aligned: &str) -> Vec<String> {
        let (output, element) = (self.generic.inputs, self.element(self.generic.inputs).to_owned());
        let vector = format!("vector<{QUAD}x{element}>");
        let mut sums = Vec::new();
        for [i, j] in self.quads() {
            let inside = self.inside([&i, &j], [m, n]);
            let place = self.product.indices([&i, &j, "%c0"]);
            let quad = self.text.name();
            self.text.put(&format!("{quad} = scf.if {inside} -> ({vector}) {{\n%r = scf.if {aligned} -> ({vector}) {{"));
            let whole = self.text.load_wide(output, &place, QUAD);
            self.text.put(&format!("scf.yield {whole} : {vector}\n}} else {{\n{}", zeros("%z", &element)));
            let mut singles = Vec::new();
            for lane in 0..QUAD {
                let j = self.text.index("addi", &j, &format!("%c{lane}"));
                let inside = self.text.compare("ult", &j, n);
                let single = self.text.name();
                self.text.put(&format!("{single} = scf.if {inside} -> ({element}) {{"));
                let place = self.product.indices([&i, &j, "%c0"]);
                let value = self.text.load(output, &place);
                self.text.put(&format!("scf.yield {value} : {element}\n}} else {{\nscf.yield %z : {element}\n}}"));
                singles.push(single);
            }
            let single = self.text.value(&format!("vector.from_elements {} : {vector}", singles.join(", ")));
            self.text.put(&format!(
                "scf.yield {single} : {vector}\n}}\nscf.yield %r : {vector}\n}} else {{\n{}\nscf.yield %z : {vector}\n}}",
                zeros("%z", &vector)
            ));
            sums.extend(self.lanes(&quad, &element));
        }
        sums
    }

    fn inside(&mut self, [i, j]: [&str; 2], [m, n]: [&str; 2]) -> String {
        let in_rows = self.text.compare("ult", i, m);
        let in_columns = self.text.compare("ult", j, n);
        self.text.both(&in_rows, &in_columns)
    }

    fn lanes(&mut self, quad: &str, element: &str) -> Vec<String> {
        let ty = format!("{element} from vector<{QUAD}x{element}>");
        (0..QUAD).map(|lane| self.text.value(&format!("vector.extract {quad}[{lane}] : {ty}"))).collect()
    }

    fn load_tiles(&mut self, step: &str, extents: &[String; 3], aligned: &[String; 3]) -> Vec<String> {
        let start = ["%top".to_owned(), "%left".to_owned(), step.to_owned()];
        let (text, generic, product) = (&mut self.text, self.generic, &self.product);
        let load = |(tile, aligned): (&Tile, &String)| {
            tile.load(text, generic, product, [&start, extents], aligned)
        };
        self.tiles.iter().zip(aligned).flat_map(load).collect()
    }

    /// Over all tiles along the sum.
    fn sum(&mut self, sums: Vec<String>, extents: &[String; 3], aligned: &[String; 3]) -> Vec<String> {
        let element = self.element(self.generic.inputs).to_owned();
        let loaded = self.load_tiles("%c0", extents, aligned);
        let accesses = self.tiles.iter().flat_map(|tile| vec![tile.vector(self.generic); tile.accesses()]);
        let types: Vec<String> = vec![element.clone(); sums.len()].into_iter().chain(accesses).collect();
        let before: Vec<_> = sums.iter().chain(&loaded).cloned().collect();
        let names: Vec<_> = before.iter().map(|_| self.text.name()).collect();
        let inner: Vec<_> = before.iter().map(|_| self.text.name()).collect();
        let given: Vec<_> = inner.iter().zip(&before).map(|(inner, before)| format!("{inner} = {before}")).collect();
        self.text.put(&format!(
            "{}, %last = scf.for %step = %c0 to {} step %c{DEPTH} iter_args({}, %turn = %c0) -> ({}, index) {{",
            names.join(", "),
            extents[2],
            given.join(", "),
            types.join(", ")
        ));
        let (sums_now, loaded_now) = inner.split_at(sums.len());
        self.fill(loaded_now);
        self.text.put("gpu.barrier");
        let next = self.text.index("addi", "%step", &format!("%c{DEPTH}"));
        let loaded = self.load_tiles(&next, extents, aligned);
        let left = self.text.index("subi", &extents[2], "%step");
        let depth = self.text.index("minui", &left, &format!("%c{DEPTH}"));
        let sums_now = self.sum_tile(sums_now, &depth, &element);
        let after: Vec<_> = sums_now.into_iter().chain(loaded).collect();
        self.text.put(&format!(
            "%other = arith.subi %c1, %turn : index\nscf.yield {}, %other : {}, index\n}}",
            after.join(", "),
            types.join(", ")
        ));
        names[..sums.len()].to_vec()
    }

    /// What was loaded goes to shared memory.
    fn fill(&mut self, loaded: &[String]) {
        let mut loaded = loaded.iter();
        for (which, (tile, name)) in self.tiles.iter().zip(["%sa", "%sb"]).enumerate() {
            let (element, ty) = (&self.generic.operands[tile.operand].element, self.shared(which));
            for (number, vector) in loaded.by_ref().take(tile.accesses()).enumerate() {
                let (row, column) = tile.place(&mut self.text, number);
                if !tile.is_along_sum(&self.product) {
                    let place = format!("{name}[%turn, {row}, {column}]");
                    tile.store(&mut self.text, self.generic, vector, &place, &ty);
                    continue;
                }
                for lane in 0..tile.width {
                    let from = format!("{element} from {}", tile.vector(self.generic));
                    let value = self.text.value(&format!("vector.extract {vector}[{lane}] : {from}"));
                    let depth = self.text.index("addi", &column, &format!("%c{lane}"));
                    self.text.put(&format!("memref.store {value}, {name}[%turn, {depth}, {row}] : {ty}"));
                }
            }
        }
    }

    /// Over `depth` elements of the tiles in shared memory.
    fn sum_tile(&mut self, sums: &[String], depth: &str, element: &str) -> Vec<String> {
        let names: Vec<_> = sums.iter().map(|_| self.text.name()).collect();
        let inner: Vec<_> = sums.iter().map(|_| self.text.name()).collect();
        let given: Vec<_> = inner.iter().zip(sums).map(|(inner, before)| format!("{inner} = {before}")).collect();
        let types = vec![element; sums.len()].join(", ");
        self.text.put(&format!(
            "{} = scf.for %at = %c0 to {depth} step %c1 iter_args({}) -> ({types}) {{",
            names.join(", "),
            given.join(", ")
        ));
        let rows = self.read_shared(0, "%sa", "%down");
        let columns = self.read_shared(1, "%sb", "%across");
        let is_turned = self.product.a > self.product.b;
        let indices = vec!["%c0".to_owned(); self.generic.parallel.len()];
        let mut sums = inner.iter();
        let mut results = Vec::new();
        for row in &rows {
            for (column, sum) in columns.iter().zip(sums.by_ref()) {
                let inputs = if is_turned { [column, row] } else { [row, column] };
                let read: Vec<_> = inputs.into_iter().chain([sum]).cloned().collect();
                results.extend(self.text.compute(&indices, &read));
            }
        }
        self.text.put(&format!("scf.yield {} : {types}\n}}", results.join(", ")));
        names
    }

    /// A thread's elements of a tile, at place `%at` along the sum.
    fn read_shared(&mut self, tile: usize, name: &str, first: &str) -> Vec<String> {
        let (element, ty) = (self.element(self.tiles[tile].operand).to_owned(), self.shared(tile));
        let mut elements = Vec::new();
        for group in 0..self.side / GROUP {
            let place = self.text.index("addi", first, &format!("%c{}", group * GROUP));
            let aligned = alignment(&element, QUAD);
            let quad = self.text.value(&format!(
                "vector.load {name}[%turn, %at, {place}] {aligned} : {ty}, vector<{QUAD}x{element}>"
            ));
            elements.extend(self.lanes(&quad, &element));
        }
        elements
    }

    fn store(&mut self, sums: &[String], [m, n, _]: &[String; 3], aligned: &str) {
        let (output, element) = (self.generic.inputs, self.element(self.generic.inputs).to_owned());
        let vector = format!("vector<{QUAD}x{element}>");
        let ty = self.generic.operands[output].ty.clone();
        let quads = self.quads();
        for ([i, j], sums) in quads.iter().zip(sums.chunks(QUAD)) {
            let inside = self.inside([i, j], [m, n]);
            self.text.put(&format!("scf.if {inside} {{\nscf.if {aligned} {{"));
            let quad = self.text.value(&format!("vector.from_elements {} : {vector}", sums.join(", ")));
            let place = self.text.place(output, &self.product.indices([i, j, "%c0"]));
            self.text.put(&format!(
                "vector.store {quad}, {place} {} : {ty}, {vector}\n}} else {{",
                alignment(&element, QUAD)
            ));
            for (lane, sum) in sums.iter().enumerate() {
                let j = self.text.index("addi", j, &format!("%c{lane}"));
                let inside = self.text.compare("ult", &j, n);
                self.text.put(&format!("scf.if {inside} {{"));
                self.text.store(sum, output, &self.product.indices([i, &j, "%c0"]));
                self.text.put("}");
            }
            self.text.put("}\n}");
        }
    }
}

const _: () = assert!(ACROSS * ACROSS == THREADS);

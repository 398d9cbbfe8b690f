//! Products of f16 or bf16 matrices that are summed in f32: on tensor cores, through `nvgpu.ldmatrix` and `nvgpu.mma.sync`.
//!
//! A block has a tile of 128x128 results, each of its eight warps 64x32 of them, which are 4x4 products of 16x8 results and 16
//! elements along the sum. Tiles of the inputs go through shared memory as they lie in memory; `ldmatrix` turns them if need be.
//! The next tiles are loaded while the current ones are used.
//!
//! This is the one place where a sum's order is not the loop's: products of two halves are exact in f32, but a tensor core
//! adds them in an order, and with a rounding, of its own. It is what types of this kind are for.

use super::{
    generic::{Generic, defining, is_same},
    product::{Product, Tile, Tiles, zeros},
    splice::Kernel,
    text::Text,
};
use crate::ir::{is, name};
use melior::ir::{BlockLike, Value, operation::OperationLike};

/// Rows and columns of a block's tile.
const SIDE: usize = 128;
/// Elements along the sum in a tile.
const DEPTH: usize = 32;
/// Rows and columns of a warp's part.
const WARP: [usize; 2] = [64, 32];
/// Shape of one instruction: rows, columns, elements along the sum.
const MMA: [usize; 3] = [16, 8, 16];
/// More elements in a row of shared memory than in the tile, so that eight rows are in different banks.
const PADDING: usize = 8;

/// Nothing for other types, and for other ways of summing.
pub(super) fn kernel(generic: &Generic<'_, '_>) -> Option<Kernel> {
    let product = Product::read(generic)?;
    let half = generic.operands.first()?.element.clone();
    let types_fit = ["f16", "bf16"].contains(&half.as_str())
        && generic.operands[1].element == half
        && generic.operands[2].element == "f32";
    if !types_fit || !is_plain_sum(generic) {
        return None;
    }
    let tiles = [product.a, product.b].map(|operand| Tile::new(generic, &product, operand, [SIDE, DEPTH]));
    let text = Text::new(generic);
    Some(Kernel { text: TensorCore { generic, product, tiles, half, text }.write()?, combiner: None })
}

/// True for `sum + f32(one) * f32(other)`.
fn is_plain_sum(generic: &Generic<'_, '_>) -> bool {
    let argument = |index: usize| generic.block.argument(index).ok().map(Value::from);
    let [Some(one), Some(other), Some(sum)] = [argument(0), argument(1), argument(2)] else { return false };
    let is_widened = |value: Value<'_, '_>, half: Value<'_, '_>| {
        defining(value).is_some_and(|op| is(op, "arith.extf") && op.operand(0).is_ok_and(|from| is_same(from, half)))
    };
    let are_factors = |values: &[Value<'_, '_>]| match values {
        [x, y] => (is_widened(*x, one) && is_widened(*y, other)) || (is_widened(*x, other) && is_widened(*y, one)),
        _ => false,
    };
    let yielded = generic.yielded();
    let Some(last) = yielded.first().and_then(|value| defining(*value)) else { return false };
    let terms: Vec<_> = last.operands().collect();
    match (name(last).as_str(), terms.as_slice()) {
        ("math.fma", [x, y, z]) => is_same(*z, sum) && are_factors(&[*x, *y]),
        ("arith.addf", [x, y]) => {
            let factor = if is_same(*x, sum) { *y } else { *x };
            (is_same(*x, sum) != is_same(*y, sum))
                && defining(factor).is_some_and(|op| {
                    is(op, "arith.mulf") && are_factors(&op.operands().collect::<Vec<_>>())
                })
        }
        _ => false,
    }
}

struct TensorCore<'g, 'c, 'a> {
    generic: &'g Generic<'c, 'a>,
    product: Product,
    tiles: [Tile; 2],
    half: String,
    text: Text<'g, 'c, 'a>,
}

/// Type of a thread's part of 16x8 results.
const SUMS: &str = "vector<2x2xf32>";

impl TensorCore<'_, '_, '_> {
    fn write(mut self) -> Option<String> {
        let shared = format!("%sa : {}, %sb : {}", self.shared(0), self.shared(1));
        let Tiles { extents, aligned } = Tiles::launch(&mut self.text, self.generic, &self.product, SIDE, &shared)?;
        // A warp's part of the block's tile, and a thread's place in 16x8 results: rows `%row` and 8 more, columns `%pair` and the
        // next. For `ldmatrix` a lane names one row of an 8x8 matrix; the four matrices are 2x2.
        self.text.put(&format!(
            "%warp = arith.divui %tx, %c32 : index\n%lane = arith.remui %tx, %c32 : index\n\
             %wi = arith.divui %warp, %c{per_row} : index\n%wj = arith.remui %warp, %c{per_row} : index\n\
             %down = arith.muli %wi, %c{} : index\n%across = arith.muli %wj, %c{} : index\n\
             %row = arith.divui %lane, %c4 : index\n%quarter = arith.remui %lane, %c4 : index\n\
             %pair = arith.muli %quarter, %c2 : index\n\
             %eighth = arith.remui %lane, %c8 : index\n%matrix = arith.divui %lane, %c8 : index\n\
             %low = arith.remui %matrix, %c2 : index\n%high = arith.divui %matrix, %c2 : index\n\
             %low8 = arith.muli %low, %c8 : index\n%high8 = arith.muli %high, %c8 : index",
            WARP[0],
            WARP[1],
            per_row = SIDE / WARP[1],
        ));
        let sums = self.first_sums(&extents, &aligned[2]);
        let sums = self.sum(&sums, &extents, &aligned);
        self.store(&sums, &extents, &aligned[2]);
        self.text.put("gpu.terminator\n}");
        Some(self.text.finish())
    }

    fn shared(&self, tile: usize) -> String {
        let Tile { rows, columns, .. } = self.tiles[tile];
        format!("memref<2x{rows}x{}x{}, #gpu.address_space<workgroup>>", columns + PADDING, self.half)
    }

    /// A thread's pairs of results: row and first column, in the order in which [`SUMS`] hold them.
    fn pairs(&mut self) -> Vec<[String; 2]> {
        let mut pairs = Vec::new();
        for (i, j) in fragments() {
            for half in [0, 8] {
                let row = self.text.index("addi", "%row", &format!("%c{}", i * MMA[0] + half));
                let row = self.text.index("addi", &row, "%down");
                let row = self.text.index("addi", &row, "%top");
                let column = self.text.index("addi", "%pair", &format!("%c{}", j * MMA[1]));
                let column = self.text.index("addi", &column, "%across");
                let column = self.text.index("addi", &column, "%left");
                pairs.push([row, column]);
            }
        }
        pairs
    }

    fn inside(&mut self, [i, j]: [&str; 2], [m, n]: [&str; 2]) -> String {
        let in_rows = self.text.compare("ult", i, m);
        let in_columns = self.text.compare("ult", j, n);
        self.text.both(&in_rows, &in_columns)
    }

    /// What the output holds before.
    fn first_sums(&mut self, [m, n, _]: &[String; 3], aligned: &str) -> Vec<String> {
        let output = self.generic.inputs;
        let pairs = self.pairs();
        let mut loaded = Vec::new();
        for [i, j] in pairs {
            let inside = self.inside([&i, &j], [m, n]);
            let pair = self.text.name();
            self.text.put(&format!("{pair} = scf.if {inside} -> (vector<2xf32>) {{\n%r = scf.if {aligned} -> (vector<2xf32>) {{"));
            let place = self.product.indices([&i, &j, "%c0"]);
            let whole = self.text.load_wide(output, &place, 2);
            self.text.put(&format!("scf.yield {whole} : vector<2xf32>\n}} else {{"));
            let first = self.text.load(output, &place);
            let next = self.text.index("addi", &j, "%c1");
            let has_next = self.text.compare("ult", &next, n);
            let second = self.text.name();
            self.text.put(&format!("{second} = scf.if {has_next} -> (f32) {{"));
            let value = self.text.load(output, &self.product.indices([&i, &next, "%c0"]));
            self.text.put(&format!("scf.yield {value} : f32\n}} else {{\n{}\nscf.yield %z : f32\n}}", zeros("%z", "f32")));
            let single = self.text.value(&format!("vector.from_elements {first}, {second} : vector<2xf32>"));
            self.text.put(&format!(
                "scf.yield {single} : vector<2xf32>\n}}\nscf.yield %r : vector<2xf32>\n}} else {{\n{}\nscf.yield %z : vector<2xf32>\n}}",
                zeros("%z", "vector<2xf32>")
            ));
            loaded.push(pair);
        }
        self.text.put(&zeros("%none", SUMS));
        let join = |pairs: &[String]| {
            let half = self.text.value(&format!("vector.insert {}, %none[0] : vector<2xf32> into {SUMS}", pairs[0]));
            self.text.value(&format!("vector.insert {}, {half}[1] : vector<2xf32> into {SUMS}", pairs[1]))
        };
        loaded.chunks(2).map(join).collect()
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
    fn sum(&mut self, sums: &[String], extents: &[String; 3], aligned: &[String; 3]) -> Vec<String> {
        let loaded = self.load_tiles("%c0", extents, aligned);
        let accesses = self.tiles.iter().flat_map(|tile| vec![tile.vector(self.generic); tile.accesses()]);
        let types: Vec<String> = vec![SUMS.to_owned(); sums.len()].into_iter().chain(accesses).collect();
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
        let (mut now, loaded_now) = (inner[..sums.len()].to_vec(), inner[sums.len()..].to_vec());
        self.fill(&loaded_now);
        self.text.put("gpu.barrier");
        let next = self.text.index("addi", "%step", &format!("%c{DEPTH}"));
        let loaded = self.load_tiles(&next, extents, aligned);
        for at in (0..DEPTH).step_by(MMA[2]) {
            now = self.multiply(&now, at);
        }
        let after: Vec<_> = now.into_iter().chain(loaded).collect();
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
            let ty = self.shared(which);
            for (number, vector) in loaded.by_ref().take(tile.accesses()).enumerate() {
                let (row, column) = tile.place(&mut self.text, number);
                let place = format!("{name}[%turn, {row}, {column}]");
                tile.store(&mut self.text, self.generic, vector, &place, &ty);
            }
        }
    }

    /// The warp's part over 16 elements along the sum, from `at` on.
    fn multiply(&mut self, sums: &[String], at: usize) -> Vec<String> {
        let rows: Vec<_> =
            (0..WARP[0] / MMA[0]).map(|i| self.matrices(0, "%sa", ["%down", "%low8", "%high8"], i, at)).collect();
        // Two times eight columns at once. Their matrices come in another order: along the sum first.
        let columns: Vec<_> = (0..WARP[1] / MMA[0])
            .map(|j| self.matrices(1, "%sb", ["%across", "%high8", "%low8"], j, at))
            .collect();
        let (whole, part) = (format!("vector<4x2x{}>", self.half), format!("vector<2x2x{}>", self.half));
        let mut halves = Vec::new();
        for both in &columns {
            for offset in [0, 2] {
                let slice = "{sizes = [2], strides = [1], offsets = ";
                let op = format!("vector.extract_strided_slice {both} {slice}[{offset}]}} : {whole} to {part}");
                halves.push(self.text.value(&op));
            }
        }
        let pairs = fragments().into_iter().zip(sums);
        pairs.map(|((i, j), sums)| self.mma(&rows[i], &halves[j], sums)).collect()
    }

    /// Four 8x8 matrices of a tile: 16 rows or columns of the result, from the warp's first and `16 * number` on, and 16 elements along
    /// the sum from `at` on. `[first, side, depth]` are where the warp begins and what a lane adds along the result and the sum.
    fn matrices(&mut self, tile: usize, name: &str, [first, side, depth]: [&str; 3], number: usize, at: usize) -> String {
        let is_along_sum = self.tiles[tile].is_along_sum(&self.product);
        let ty = self.shared(tile);
        let begin = self.text.index("addi", first, &format!("%c{}", number * MMA[0]));
        let begin = self.text.index("addi", &begin, side);
        let along = self.text.index("addi", depth, &format!("%c{at}"));
        // A lane names a row of memory: of the result where neighbours are along the sum, else of the sum.
        let place = if is_along_sum {
            let row = self.text.index("addi", &begin, "%eighth");
            format!("{row}, {along}")
        } else {
            let row = self.text.index("addi", &along, "%eighth");
            format!("{row}, {begin}")
        };
        self.text.value(&format!(
            "nvgpu.ldmatrix {name}[%turn, {place}] {{numTiles = 4 : i32, transpose = {}}} : {ty} -> vector<4x2x{}>",
            !is_along_sum, self.half
        ))
    }

    /// One instruction. MLIR's `nvgpu.mma.sync` knows no bf16 yet, its `nvvm.mma.sync` does.
    fn mma(&mut self, a: &str, b: &str, sums: &str) -> String {
        let [m, n, k] = MMA;
        if self.half == "f16" {
            return self.text.value(&format!(
                "nvgpu.mma.sync ({a}, {b}, {sums}) {{mmaShape = [{m}, {n}, {k}]}} : (vector<4x2xf16>, vector<2x2xf16>, {SUMS}) -> {SUMS}"
            ));
        }
        let a = self.words(a, 4);
        let b = self.words(b, 2);
        let places = ["0, 0", "0, 1", "1, 0", "1, 1"];
        let c = places.map(|place| self.text.value(&format!("vector.extract {sums}[{place}] : f32 from {SUMS}")));
        let result = "!llvm.struct<(f32, f32, f32, f32)>";
        let product = self.text.value(&format!(
            "nvvm.mma.sync A[{}] B[{}] C[{}] {{layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, \
             multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, \
             shape = #nvvm.shape<m = {m}, n = {n}, k = {k}>}} : (i32, i32, f32) -> {result}",
            a.join(", "),
            b.join(", "),
            c.join(", ")
        ));
        let parts: Vec<_> = (0..places.len())
            .map(|part| self.text.value(&format!("llvm.extractvalue {product}[{part}] : {result}")))
            .collect();
        self.text.value(&format!("vector.from_elements {} : {SUMS}", parts.join(", ")))
    }

    /// Pairs of halves as words.
    fn words(&mut self, halves: &str, count: usize) -> Vec<String> {
        let words = self.text.value(&format!(
            "vector.bitcast {halves} : vector<{count}x2x{}> to vector<{count}x1xi32>",
            self.half
        ));
        let word = |word| self.text.value(&format!("vector.extract {words}[{word}, 0] : i32 from vector<{count}x1xi32>"));
        (0..count).map(word).collect()
    }

    fn store(&mut self, sums: &[String], [m, n, _]: &[String; 3], aligned: &str) {
        let output = self.generic.inputs;
        let ty = self.generic.operands[output].ty.clone();
        let pairs = self.pairs();
        for (number, [i, j]) in pairs.iter().enumerate() {
            let (sums, half) = (&sums[number / 2], number % 2);
            let inside = self.inside([i, j], [m, n]);
            self.text.put(&format!("scf.if {inside} {{"));
            let pair = self.text.value(&format!("vector.extract {sums}[{half}] : vector<2xf32> from {SUMS}"));
            let place = self.product.indices([i, j, "%c0"]);
            let whole = self.text.place(output, &place);
            self.text.put(&format!(
                "scf.if {aligned} {{\nvector.store {pair}, {whole} {{alignment = 8 : i64}} : {ty}, vector<2xf32>\n}} else {{"
            ));
            let [first, second] =
                [0, 1].map(|lane| self.text.value(&format!("vector.extract {pair}[{lane}] : f32 from vector<2xf32>")));
            self.text.store(&first, output, &place);
            let next = self.text.index("addi", j, "%c1");
            let has_next = self.text.compare("ult", &next, n);
            self.text.put(&format!("scf.if {has_next} {{"));
            self.text.store(&second, output, &self.product.indices([i, &next, "%c0"]));
            self.text.put("}\n}\n}");
        }
    }
}

/// The warp's 16x8 results, row by row.
fn fragments() -> Vec<(usize, usize)> {
    let columns = WARP[1] / MMA[1];
    (0..WARP[0] / MMA[0] * columns).map(|number| (number / columns, number % columns)).collect()
}

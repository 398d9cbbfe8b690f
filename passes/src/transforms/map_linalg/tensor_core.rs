//! Products of f16 or bf16 matrices that are summed in f32: on tensor cores, through `nvgpu.ldmatrix` and `nvgpu.mma.sync`.
//!
//! A block has a tile of 128x128 results, each of its eight warps 64x32 of them, which are 4x4 products of 16x8 results and 16
//! elements along the sum. Tiles of the inputs go through shared memory as they lie in memory; `ldmatrix` turns them if need be.
//! The next tiles are loaded while the current ones are used.
//!
//! This is the one place where a sum's order is not the loop's: products of two halves are exact in f32, but a tensor core
//! adds them in an order, and with a rounding, of its own. It is what types of this kind are for.

use super::{
    SHARED_SPACE,
    generic::{Generic, defining, is_same},
    product::{Loaded, Product, SHARED, Stream, Tile, Tiles, Way},
    splice::Kernel,
    text::{Text, zeros},
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
    let text = TensorCore { generic, product, tiles, half }.write(Text::new(generic));
    Some(Kernel { text: text?, combiner: None })
}

/// True for `sum + f32(one) * f32(other)`.
fn is_plain_sum(generic: &Generic<'_, '_>) -> bool {
    let argument = |index: usize| generic.block.argument(index).ok().map(Value::from);
    let [Some(one), Some(other), Some(sum)] = [argument(0), argument(1), argument(2)] else { return false };
    let is_widened = |value: Value<'_, '_>, half: Value<'_, '_>| {
        defining(value)
            .is_some_and(|op| is(op, "arith.extf") && op.operand(0).is_ok_and(|from| is_same(from, half)))
    };
    let are_factors = |values: &[Value<'_, '_>]| match values {
        [x, y] => {
            (is_widened(*x, one) && is_widened(*y, other)) || (is_widened(*x, other) && is_widened(*y, one))
        }
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
                && defining(factor)
                    .is_some_and(|op| is(op, "arith.mulf") && are_factors(&op.operands().collect::<Vec<_>>()))
        }
        _ => false,
    }
}

struct TensorCore<'g, 'c, 'a> {
    generic: &'g Generic<'c, 'a>,
    product: Product,
    tiles: [Tile; 2],
    half: String,
}

/// Type of a thread's part of 16x8 results.
const SUMS: &str = "vector<2x2xf32>";

impl TensorCore<'_, '_, '_> {
    fn write(&self, mut text: Text<'_, '_, '_>) -> Option<String> {
        let shared = format!("%sa : {}, %sb : {}", self.shared(0), self.shared(1));
        let Tiles { extents, aligned } =
            Tiles::launch(&mut text, self.generic, &self.product, SIDE, &shared)?;
        // A warp's part of the block's tile, and a thread's place in 16x8 results: rows `%row` and 8 more, columns `%pair` and the
        // next. For `ldmatrix` a lane names one row of an 8x8 matrix; the four matrices are 2x2.
        text.put(&format!(
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
        text.either(&aligned, |text, is_aligned| self.block(text, &extents, is_aligned));
        text.end_launch();
        Some(text.finish())
    }

    fn block(&self, text: &mut Text<'_, '_, '_>, extents: &[String; 3], is_aligned: bool) {
        let Self { generic, product, tiles, .. } = self;
        let way = if is_aligned { Way::Copied } else { Way::Single };
        let stream = Stream { generic, product, tiles, extents, way, depth: DEPTH };
        let zero = text.name();
        text.put(&zeros(&zero, SUMS));
        let first = vec![zero; fragments().len()];
        let sums = stream.run(
            text,
            (&first, SUMS),
            |text, loaded| self.put(text, loaded),
            // Behind the end of the sum both tiles are zero, as deep as they are.
            |text, sums, turn, _| {
                let steps = (0..DEPTH).step_by(MMA[2]);
                steps.fold(sums.to_vec(), |sums, at| self.multiply(text, &sums, turn, at))
            },
        );
        self.store(text, &sums, extents, is_aligned);
    }

    fn shared(&self, tile: usize) -> String {
        let Tile { rows, columns, .. } = self.tiles[tile];
        format!("{SHARED}{rows}x{}x{}, {SHARED_SPACE}", columns + PADDING, self.half)
    }

    /// A thread's pairs of results: row and first column, in the order in which [`SUMS`] hold them.
    fn pairs(&self, text: &mut Text<'_, '_, '_>) -> Vec<[String; 2]> {
        let mut pairs = Vec::new();
        for (i, j) in fragments() {
            for half in [0, 8] {
                let row = text.index("addi", "%row", &format!("%c{}", i * MMA[0] + half));
                let row = text.index("addi", &row, "%down");
                let row = text.index("addi", &row, "%top");
                let column = text.index("addi", "%pair", &format!("%c{}", j * MMA[1]));
                let column = text.index("addi", &column, "%across");
                let column = text.index("addi", &column, "%left");
                pairs.push([row, column]);
            }
        }
        pairs
    }

    /// What was loaded goes to shared memory as it is.
    fn put(&self, text: &mut Text<'_, '_, '_>, loaded: &Loaded<'_>) {
        let Loaded { which, place: [row, column], turn, .. } = loaded;
        let place = format!("{}[{turn}, {row}, {column}]", ["%sa", "%sb"][*which]);
        loaded.store(text, self.generic, &place, &self.shared(*which));
    }

    /// The warp's part over 16 elements along the sum, from `at` on.
    fn multiply(&self, text: &mut Text<'_, '_, '_>, sums: &[String], turn: &str, at: usize) -> Vec<String> {
        let rows: Vec<_> = (0..WARP[0] / MMA[0])
            .map(|i| self.matrices(text, 0, turn, ["%down", "%low8", "%high8"], [i, at]))
            .collect();
        // Two times eight columns at once. Their matrices come in another order: along the sum first.
        let columns: Vec<_> = (0..WARP[1] / MMA[0])
            .map(|j| self.matrices(text, 1, turn, ["%across", "%high8", "%low8"], [j, at]))
            .collect();
        let (whole, part) = (format!("vector<4x2x{}>", self.half), format!("vector<2x2x{}>", self.half));
        let mut halves = Vec::new();
        for both in &columns {
            for offset in [0, 2] {
                let slice = "{sizes = [2], strides = [1], offsets = ";
                let op =
                    format!("vector.extract_strided_slice {both} {slice}[{offset}]}} : {whole} to {part}");
                halves.push(text.value(&op));
            }
        }
        let pairs = fragments().into_iter().zip(sums);
        pairs.map(|((i, j), sums)| self.mma(text, &rows[i], &halves[j], sums)).collect()
    }

    /// Four 8x8 matrices of a tile: 16 rows or columns of the result, from the warp's first and `16 * number` on, and 16 elements along
    /// the sum from `at` on. `[first, side, depth]` are where the warp begins and what a lane adds along the result and the sum.
    fn matrices(
        &self,
        text: &mut Text<'_, '_, '_>,
        tile: usize,
        turn: &str,
        [first, side, depth]: [&str; 3],
        [number, at]: [usize; 2],
    ) -> String {
        let is_along_sum = self.tiles[tile].is_along_sum(&self.product);
        let (ty, name) = (self.shared(tile), ["%sa", "%sb"][tile]);
        let begin = text.index("addi", first, &format!("%c{}", number * MMA[0]));
        let begin = text.index("addi", &begin, side);
        let along = text.index("addi", depth, &format!("%c{at}"));
        // A lane names a row of memory: of the result where neighbours are along the sum, else of the sum.
        let place = if is_along_sum {
            let row = text.index("addi", &begin, "%eighth");
            format!("{row}, {along}")
        } else {
            let row = text.index("addi", &along, "%eighth");
            format!("{row}, {begin}")
        };
        text.value(&format!(
            "nvgpu.ldmatrix {name}[{turn}, {place}] {{numTiles = 4 : i32, transpose = {}}} : {ty} -> vector<4x2x{}>",
            !is_along_sum, self.half
        ))
    }

    /// One instruction. MLIR's `nvgpu.mma.sync` knows no bf16 yet, its `nvvm.mma.sync` does.
    fn mma(&self, text: &mut Text<'_, '_, '_>, a: &str, b: &str, sums: &str) -> String {
        let [m, n, k] = MMA;
        if self.half == "f16" {
            return text.value(&format!(
                "nvgpu.mma.sync ({a}, {b}, {sums}) {{mmaShape = [{m}, {n}, {k}]}} : (vector<4x2xf16>, vector<2x2xf16>, {SUMS}) -> {SUMS}"
            ));
        }
        let a = self.words(text, a, 4);
        let b = self.words(text, b, 2);
        let places = ["0, 0", "0, 1", "1, 0", "1, 1"];
        let c = places.map(|place| text.value(&format!("vector.extract {sums}[{place}] : f32 from {SUMS}")));
        let result = "!llvm.struct<(f32, f32, f32, f32)>";
        let product = text.value(&format!(
            "nvvm.mma.sync A[{}] B[{}] C[{}] {{layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, \
             multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, \
             shape = #nvvm.shape<m = {m}, n = {n}, k = {k}>}} : (i32, i32, f32) -> {result}",
            a.join(", "),
            b.join(", "),
            c.join(", ")
        ));
        let parts: Vec<_> = (0..places.len())
            .map(|part| text.value(&format!("llvm.extractvalue {product}[{part}] : {result}")))
            .collect();
        text.value(&format!("vector.from_elements {} : {SUMS}", parts.join(", ")))
    }

    /// Pairs of halves as words.
    fn words(&self, text: &mut Text<'_, '_, '_>, halves: &str, count: usize) -> Vec<String> {
        let words = text.value(&format!(
            "vector.bitcast {halves} : vector<{count}x2x{}> to vector<{count}x1xi32>",
            self.half
        ));
        let word =
            |word| text.value(&format!("vector.extract {words}[{word}, 0] : i32 from vector<{count}x1xi32>"));
        (0..count).map(word).collect()
    }

    /// The sums, added to what the output holds before: only here, so that no address lives as long as they do.
    fn store(&self, text: &mut Text<'_, '_, '_>, sums: &[String], [m, n, _]: &[String; 3], is_aligned: bool) {
        for (number, [i, j]) in self.pairs(text).iter().enumerate() {
            let inside = text.is_inside([i, j], [m, n]);
            text.only_if(&inside, |text| {
                let (sums, half) = (&sums[number / 2], number % 2);
                let pair = text.value(&format!("vector.extract {sums}[{half}] : vector<2xf32> from {SUMS}"));
                let at = |j: &str| self.product.indices([i, j, "%c0"]);
                let before = match is_aligned {
                    true => text.load_wide(self.generic.inputs, &at(j), 2),
                    false => text.load_each(self.generic.inputs, 2, [j, n], at),
                };
                let after = text.value(&format!("arith.addf {before}, {pair} : vector<2xf32>"));
                let values = text.lanes(&after, 2, "f32");
                text.store_row(&values, self.generic.inputs, [j, n], is_aligned, at);
            });
        }
    }
}

/// The warp's 16x8 results, row by row.
fn fragments() -> Vec<(usize, usize)> {
    let columns = WARP[1] / MMA[1];
    (0..WARP[0] / MMA[0] * columns).map(|number| (number / columns, number % columns)).collect()
}

//! Products of matrices on the ordinary units: tiles of both inputs in shared memory, turned so that the sum is their first
//! dimension, and up to 8x8 results a thread.
//!
//! Each result is summed in order, from the output's own value on, as a loop would: neither does a tile's end add zeros to it,
//! nor are two sums made of one. The next tiles are loaded while the current ones are used.

use super::{
    SHARED_SPACE, THREADS,
    generic::{Generic, bytes_of},
    product::{Elements, Loaded, Product, SHARED, Stream, Tile, Tiles, Way},
    splice::Kernel,
    text::{Text, alignment},
};

/// Elements along the sum in a tile.
const DEPTH: usize = 8;
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
    if is_indexed || !generic.is_pure() || !generic.operands.iter().all(|operand| operand.is_read) {
        return None;
    }
    // Sixteen results of 8 bytes fill as many registers as sixty-four of 4 would, with what else is needed.
    let widest = generic.operands.iter().filter_map(|operand| bytes_of(&operand.element)).max()?;
    let side = if widest > 4 { GROUP } else { 2 * GROUP };
    let tiles = [product.a, product.b].map(|operand| Tile::new(generic, &product, operand, [side, DEPTH]));
    let text = Contraction { generic, product, tiles, side }.write(Text::new(generic));
    Some(Kernel { text: text?, combiner: None })
}

struct Contraction<'g, 'c, 'a> {
    generic: &'g Generic<'c, 'a>,
    product: Product,
    tiles: [Tile; 2],
    side: usize,
}

impl Contraction<'_, '_, '_> {
    fn write(&self, mut text: Text<'_, '_, '_>) -> Option<String> {
        let shared = format!("%sa : {}, %sb : {}", self.shared(0), self.shared(1));
        let Tiles { extents, aligned } =
            Tiles::launch(&mut text, self.generic, &self.product, self.side, &shared)?;
        text.put(&format!(
            "%line = arith.divui %tx, %c{ACROSS} : index\n%lane = arith.remui %tx, %c{ACROSS} : index\n\
             %down = arith.muli %line, %c{QUAD} : index\n%across = arith.muli %lane, %c{QUAD} : index"
        ));
        text.either(&aligned, |text, is_aligned| self.block(text, &extents, is_aligned));
        text.end_launch();
        Some(text.finish())
    }

    fn block(&self, text: &mut Text<'_, '_, '_>, extents: &[String; 3], is_aligned: bool) {
        let Self { generic, product, tiles, .. } = self;
        let way = if is_aligned { Way::Wide } else { Way::Single };
        let stream = Stream { generic, product, tiles, extents, way, depth: DEPTH };
        let first = self.first_sums(text, extents, is_aligned);
        let sums = stream.run(
            text,
            (&first, self.element(self.generic.inputs)),
            |text, loaded| self.put(text, loaded),
            |text, sums, turn, left| self.multiply(text, sums, turn, left),
        );
        self.store(text, &sums, extents, is_aligned);
    }

    fn element(&self, operand: usize) -> &str {
        &self.generic.operands[operand].element
    }

    /// Type of a tile in shared memory, twice: one to fill, one to use.
    fn shared(&self, tile: usize) -> String {
        let element = self.element(self.tiles[tile].operand);
        format!("{SHARED}{DEPTH}x{}x{element}, {SHARED_SPACE}", self.side + PADDING)
    }

    /// Where a thread's results are, four at a time: their row, the first one's column.
    fn quads(&self, text: &mut Text<'_, '_, '_>) -> Vec<[String; 2]> {
        let groups = self.side / GROUP;
        let mut quads = Vec::new();
        for row in (0..groups).flat_map(|group| (0..QUAD).map(move |row| group * GROUP + row)) {
            let i = text.index("addi", "%down", &format!("%c{row}"));
            let i = text.index("addi", &i, "%top");
            for group in 0..groups {
                let j = text.index("addi", "%across", &format!("%c{}", group * GROUP));
                let j = text.index("addi", &j, "%left");
                quads.push([i.clone(), j]);
            }
        }
        quads
    }

    /// What the output holds before.
    fn first_sums(
        &self,
        text: &mut Text<'_, '_, '_>,
        [m, n, _]: &[String; 3],
        is_aligned: bool,
    ) -> Vec<String> {
        let (output, element) = (self.generic.inputs, self.element(self.generic.inputs));
        let mut sums = Vec::new();
        for [i, j] in self.quads(text) {
            let inside = text.is_inside([&i, &j], [m, n]);
            let at = |j: &str| self.product.indices([&i, j, "%c0"]);
            let quad = text.guarded(&inside, &format!("vector<{QUAD}x{element}>"), |text| match is_aligned {
                true => text.load_wide(output, &at(&j), QUAD),
                false => text.load_each(output, QUAD, [&j, n], at),
            });
            sums.extend(text.lanes(&quad, QUAD, element));
        }
        sums
    }

    /// What was loaded goes to shared memory, the sum first.
    fn put(&self, text: &mut Text<'_, '_, '_>, loaded: &Loaded<'_>) {
        let Loaded { which, elements, tile, place: [row, column], turn } = loaded;
        let (name, ty) = (["%sa", "%sb"][*which], self.shared(*which));
        let (true, Elements::Vector(vector)) = (tile.is_along_sum(&self.product), elements) else {
            return loaded.store(text, self.generic, &format!("{name}[{turn}, {row}, {column}]"), &ty);
        };
        for (lane, value) in text.lanes(vector, tile.width, self.element(tile.operand)).iter().enumerate() {
            let depth = text.index("addi", column, &format!("%c{lane}"));
            text.put(&format!("memref.store {value}, {name}[{turn}, {depth}, {row}] : {ty}"));
        }
    }

    /// Over the tiles in shared memory, no further than the sum goes.
    fn multiply(&self, text: &mut Text<'_, '_, '_>, sums: &[String], turn: &str, left: &str) -> Vec<String> {
        let depth = text.index("minui", left, &format!("%c{DEPTH}"));
        let types = vec![self.element(self.generic.inputs).to_owned(); sums.len()];
        text.carry(["%at", "%c0", &depth, "%c1"], sums, &types, |text, sums| {
            let rows = self.read_shared(text, 0, turn, "%down");
            let columns = self.read_shared(text, 1, turn, "%across");
            let is_turned = self.product.a > self.product.b;
            let indices = vec!["%c0".to_owned(); self.generic.parallel.len()];
            let points = rows.iter().flat_map(|row| columns.iter().map(move |column| [row, column]));
            let add = |([row, column], sum): ([&String; 2], &String)| {
                let inputs = if is_turned { [column, row] } else { [row, column] };
                let read: Vec<_> = inputs.into_iter().chain([sum]).cloned().collect();
                text.compute(&indices, &read)
            };
            points.zip(sums).flat_map(add).collect()
        })
    }

    /// A thread's elements of a tile, at place `%at` along the sum.
    fn read_shared(&self, text: &mut Text<'_, '_, '_>, which: usize, turn: &str, first: &str) -> Vec<String> {
        let (element, ty) = (self.element(self.tiles[which].operand), self.shared(which));
        let (name, aligned) = (["%sa", "%sb"][which], alignment(element, QUAD));
        let mut elements = Vec::new();
        for group in 0..self.side / GROUP {
            let place = text.index("addi", first, &format!("%c{}", group * GROUP));
            let quad = text.value(&format!(
                "vector.load {name}[{turn}, %at, {place}] {aligned} : {ty}, vector<{QUAD}x{element}>"
            ));
            elements.extend(text.lanes(&quad, QUAD, element));
        }
        elements
    }

    fn store(&self, text: &mut Text<'_, '_, '_>, sums: &[String], [m, n, _]: &[String; 3], is_aligned: bool) {
        for ([i, j], sums) in self.quads(text).iter().zip(sums.chunks(QUAD)) {
            let inside = text.is_inside([i, j], [m, n]);
            text.only_if(&inside, |text| {
                let at = |j: &str| self.product.indices([i, j, "%c0"]);
                text.store_row(sums, self.generic.inputs, [j, n], is_aligned, at);
            });
        }
    }
}

const _: () = assert!(ACROSS * ACROSS == THREADS);

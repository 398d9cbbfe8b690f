//! Ops whose maps are those of a matrix product, or of a batch of them.

use super::{
    ACCESS,
    generic::{Generic, Operand, bytes_of},
    text::{Text, alignment},
};

/// Which loop and which operand is which.
pub(super) struct Product {
    /// Loop over matrices, if there are several.
    pub batch: Option<usize>,
    /// Loop over rows of the result.
    pub m: usize,
    /// Loop over its columns.
    pub n: usize,
    /// Loop that is summed over.
    pub k: usize,
    /// Operand with rows.
    pub a: usize,
    /// Operand with columns.
    pub b: usize,
}

/// How the types of a product's tiles in shared memory begin: there are two of each.
pub(super) const SHARED: &str = "memref<2x";
/// Fewer rows or columns than these would leave most of a tile empty.
const FEWEST: u64 = 32;

impl Product {
    /// Nothing if the op's maps are others, or if its result is known to be small.
    pub fn read(generic: &Generic<'_, '_>) -> Option<Self> {
        let output = generic.output()?;
        let mut sums = (0..generic.parallel.len()).filter(|loop_| !generic.parallel[*loop_]);
        let (k, None) = (sums.next()?, sums.next()) else { return None };
        let (batch, m, n) = match output.map.as_slice() {
            [m, n] => (None, *m, *n),
            [batch, m, n] => (Some(*batch), *m, *n),
            _ => return None,
        };
        let is = |operand: &Operand<'_, '_>, loop_: usize| {
            let inner = batch.into_iter().chain([loop_, k]);
            let turned = batch.into_iter().chain([k, loop_]);
            operand.map.iter().copied().eq(inner) || operand.map.iter().copied().eq(turned)
        };
        let [one, other] = &generic.operands[..generic.inputs] else { return None };
        let (a, b) = match () {
            () if is(one, m) && is(other, n) => (0, 1),
            () if is(one, n) && is(other, m) => (1, 0),
            () => return None,
        };
        let loops = 3 + usize::from(batch.is_some());
        let plain = |operand: &Operand<'_, '_>| operand.is_dense && bytes_of(&operand.element).is_some();
        let fits = generic.parallel.len() == loops
            && generic.operands.iter().all(plain)
            && output
                .extents()
                .iter()
                .rev()
                .take(2)
                .all(|extent| extent.is_none_or(|extent| extent >= FEWEST));
        fits.then_some(Self { batch, m, n, k, a, b })
    }

    /// The loops' indices, in the loops' order.
    pub fn indices(&self, [m, n, k]: [&str; 3]) -> Vec<String> {
        let mut indices = vec![String::new(); 3 + usize::from(self.batch.is_some())];
        for (loop_, index) in [(self.m, m), (self.n, n), (self.k, k)] {
            index.clone_into(&mut indices[loop_]);
        }
        if let Some(batch) = self.batch {
            "%batch".clone_into(&mut indices[batch]);
        }
        indices
    }
}

/// The host's side of a launch with a block a tile of `side` rows and columns, and where the tile of a block begins: `%top`,
/// `%left`, in matrix `%batch`. Blocks are numbered in one row, because only that may be long.
pub(super) struct Tiles {
    /// Rows, columns and length of the sums.
    pub extents: [String; 3],
    /// A bit: all rows of all three matrices begin where wide accesses may.
    pub aligned: String,
}

impl Tiles {
    /// Writes all up to the first op of a block; `shared` is what the block's memory is.
    pub fn launch(
        text: &mut Text<'_, '_, '_>,
        generic: &Generic<'_, '_>,
        product: &Product,
        side: usize,
        shared: &str,
    ) -> Option<Self> {
        let extents = [text.extent(product.m)?, text.extent(product.n)?, text.extent(product.k)?];
        let matrices = product.batch.map_or(Some("%c1".into()), |batch| text.extent(batch))?;
        let lengths = [product.a, product.b].map(|operand| {
            let Operand { map, element, .. } = &generic.operands[operand];
            let length = match map.last() {
                Some(last) if *last == product.m => &extents[0],
                Some(last) if *last == product.n => &extents[1],
                _ => &extents[2],
            };
            text.index("muli", length, &format!("%c{}", bytes_of(element).unwrap_or(ACCESS)))
        });
        // Results go out in fours.
        let results = text.index("muli", &extents[1], "%c4");
        let [a, b] = lengths;
        let aligned = text.is_aligned(&[product.a, product.b, generic.inputs], &[a, b, results]);
        let across = text.index("ceildivui", &extents[1], &format!("%c{side}"));
        let down = text.index("ceildivui", &extents[0], &format!("%c{side}"));
        let tiles = text.index("muli", &across, &down);
        let blocks = text.index("muli", &tiles, &matrices);
        text.unless_none(&blocks);
        text.put(&format!(
            "gpu.launch blocks(%bx, %by, %bz) in (%gx = {blocks}, %gy = %c1, %gz = %c1) \
             threads(%tx, %ty, %tz) in (%sx = %c{}, %sy = %c1, %sz = %c1) workgroup({shared}) {{\n\
             %batch = arith.divui %bx, {tiles} : index\n%tile = arith.remui %bx, {tiles} : index",
            super::THREADS
        ));
        let (i, j) = (text.index("divui", "%tile", &across), text.index("remui", "%tile", &across));
        text.put(&format!(
            "%top = arith.muli {i}, %c{side} : index\n%left = arith.muli {j}, %c{side} : index"
        ));
        Some(Self { extents, aligned })
    }
}

/// How a tile of an input is loaded: as it lies in memory, rows of `columns` elements, by accesses of `width`.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Which input.
    pub operand: usize,
    /// The product's loops that rows and columns in memory follow.
    pub loops: [usize; 2],
    /// Rows.
    pub rows: usize,
    /// Columns, neighbours in memory.
    pub columns: usize,
    /// Elements an access.
    pub width: usize,
}

impl Tile {
    /// The tile of `operand` with `side` rows or columns of the result and `depth` elements along the sum.
    pub fn new(
        generic: &Generic<'_, '_>,
        product: &Product,
        operand: usize,
        [side, depth]: [usize; 2],
    ) -> Self {
        let map = &generic.operands[operand].map;
        let loops = [map[map.len() - 2], map[map.len() - 1]];
        let length = |loop_: usize| if loop_ == product.k { depth } else { side };
        let bytes = bytes_of(&generic.operands[operand].element).unwrap_or(ACCESS);
        let width = (ACCESS / bytes).min(side * depth / super::THREADS);
        Self { operand, loops, rows: length(loops[0]), columns: length(loops[1]), width }
    }

    /// True if neighbours in memory are neighbours in the sum.
    pub fn is_along_sum(&self, product: &Product) -> bool {
        self.loops[1] == product.k
    }

    /// Type of an access.
    pub fn vector(&self, generic: &Generic<'_, '_>) -> String {
        format!("vector<{}x{}>", self.width, generic.operands[self.operand].element)
    }

    /// Row and column in the tile of access `flat`; threads that are neighbours take neighbours.
    pub fn place(&self, text: &mut Text<'_, '_, '_>, flat: &str) -> [String; 2] {
        let in_row = format!("%c{}", self.columns / self.width);
        let row = text.index("divui", flat, &in_row);
        let column = text.index("remui", flat, &in_row);
        let column = text.index("muli", &column, &format!("%c{}", self.width));
        [row, column]
    }

    /// Indices by loop of a place in the tensor.
    fn at(&self, product: &Product, row: &str, column: &str) -> Vec<String> {
        let by_loop = |loop_: usize| if loop_ == self.loops[0] { row } else { column };
        // The loop that the tensor does not follow takes any.
        product.indices([by_loop(product.m), by_loop(product.n), by_loop(product.k)])
    }
}

/// The way of both inputs through shared memory, which holds two tiles of each: one is filled while the other is used.
pub(super) struct Stream<'s, 'c, 'a> {
    /// The op.
    pub generic: &'s Generic<'c, 'a>,
    /// Which of it is which.
    pub product: &'s Product,
    /// Tiles of a and b.
    pub tiles: &'s [Tile; 2],
    /// Rows, columns and length of the sums.
    pub extents: &'s [String; 3],
    /// How elements get into shared memory.
    pub way: Way,
    /// Elements along the sum in a tile.
    pub depth: usize,
}

/// How elements get into shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// One by one, wherever rows begin, and not before they are needed: they are many, and would fill the registers.
    Single,
    /// By wide accesses, through registers, while the tiles before are used.
    Wide,
    /// By wide copies that need no registers (`cp.async`), while the tiles before are used.
    Copied,
}

/// Neighbouring elements, as many as their tile's accesses have.
pub(super) enum Elements<'s> {
    /// In registers.
    Vector(&'s str),
    /// Still where a copy begins, so many of them inside the tensor.
    Source(&'s str, &'s str),
}

/// What was loaded, and the place in the tile where it belongs.
pub(super) struct Loaded<'s> {
    /// 0 for a, 1 for b.
    pub which: usize,
    /// The elements.
    pub elements: Elements<'s>,
    /// The tile.
    pub tile: &'s Tile,
    /// Row and column in it.
    pub place: [&'s str; 2],
    /// Which half of shared memory.
    pub turn: &'s str,
}

impl Loaded<'_> {
    /// Stores it at a place in shared memory of type `ty`.
    pub fn store(&self, text: &mut Text<'_, '_, '_>, generic: &Generic<'_, '_>, place: &str, ty: &str) {
        let (tile, Operand { ty: from, element, .. }) = (self.tile, &generic.operands[self.tile.operand]);
        let line = match self.elements {
            Elements::Vector(vector) => {
                let aligned = alignment(element, tile.width);
                format!("vector.store {vector}, {place} {aligned} : {ty}, {}", tile.vector(generic))
            }
            Elements::Source(source, count) => {
                let token = text.name();
                format!(
                    "{token} = nvgpu.device_async_copy {source}, {place}, {}, {count} {{bypassL1}} : {from} to {ty}",
                    tile.width
                )
            }
        };
        text.put(&line);
    }
}

impl Stream<'_, '_, '_> {
    /// Runs over the sum. `store` puts what was loaded into shared memory; `multiply` adds the products of the half of it that it is
    /// told, with so many elements left in the sum, to `sums` of type `ty`.
    pub fn run(
        &self,
        text: &mut Text<'_, '_, '_>,
        (sums, ty): (&[String], &str),
        store: impl Fn(&mut Text<'_, '_, '_>, &Loaded<'_>),
        multiply: impl Fn(&mut Text<'_, '_, '_>, &[String], &str, &str) -> Vec<String>,
    ) -> Vec<String> {
        let ahead = self.begin(text, "%c0", "%c0", &store);
        let vectors =
            self.accesses().into_iter().map(|(_, tile, _)| tile.vector(self.generic)).take(ahead.len());
        let types: Vec<_> =
            vec![ty.to_owned(); sums.len()].into_iter().chain(vectors).chain(["index".to_owned()]).collect();
        let before: Vec<_> = sums.iter().chain(&ahead).cloned().chain(["%c0".to_owned()]).collect();
        let (step, end) = (format!("%c{}", self.depth), &self.extents[2]);
        let mut after = text.carry(["%step", "%c0", end, &step], &before, &types, |text, now| {
            let (sums, ahead) = now.split_at(sums.len());
            let turn = ahead.last().map_or("%c0", String::as_str);
            match self.way {
                Way::Single => self.copy(text, turn, &store),
                Way::Wide => self.fill(text, ahead, turn, &store),
                Way::Copied => {
                    let all = text.value("nvgpu.device_async_create_group");
                    text.put(&format!("nvgpu.device_async_wait {all} {{numGroups = 0 : i32}}"));
                }
            }
            text.put("gpu.barrier");
            let next = text.index("addi", "%step", &step);
            let left = text.index("subi", end, "%step");
            let other = text.index("subi", "%c1", turn);
            let ahead = self.begin(text, &next, &other, &store);
            let sums = multiply(text, sums, turn, &left);
            sums.into_iter().chain(ahead).chain([other]).collect()
        });
        after.truncate(sums.len());
        after
    }

    /// A thread's accesses: of which tile, and the first thread's number in it.
    fn accesses(&self) -> Vec<(usize, &Tile, usize)> {
        let numbers = |(which, tile): (usize, &'_ Tile)| {
            (0..tile.rows * tile.columns / tile.width / super::THREADS).map(move |number| (which, number))
        };
        let all: Vec<_> = self.tiles.iter().enumerate().flat_map(numbers).collect();
        all.into_iter().map(|(which, number)| (which, &self.tiles[which], number * super::THREADS)).collect()
    }

    /// Begins with the tiles at `step` along the sum, zero outside the tensors: the vectors on their way, if they need registers.
    fn begin(
        &self,
        text: &mut Text<'_, '_, '_>,
        step: &str,
        turn: &str,
        store: &impl Fn(&mut Text<'_, '_, '_>, &Loaded<'_>),
    ) -> Vec<String> {
        let mut vectors = Vec::new();
        for (which, tile, first) in self.accesses() {
            let flat = text.index("addi", "%tx", &format!("%c{first}"));
            let place = tile.place(text, &flat);
            match self.way {
                Way::Single => return vectors,
                Way::Wide => vectors.push(self.load_at(text, tile, step, &place)),
                Way::Copied => {
                    let (source, count) = self.source(text, tile, step, &place);
                    let elements = Elements::Source(&source, &count);
                    store(text, &Loaded { which, elements, tile, place: [&place[0], &place[1]], turn });
                }
            }
        }
        vectors
    }

    /// Where a copy begins, and how much of it is inside the tensor: all or nothing.
    fn source(
        &self,
        text: &mut Text<'_, '_, '_>,
        tile: &Tile,
        step: &str,
        place: &[String; 2],
    ) -> (String, String) {
        let (inside, [row, column]) = self.locate(text, tile, step, place);
        // What copies nothing begins where there is something.
        let [row, column] = [row, column].map(|index| text.choose(&inside, &index, "%c0"));
        let count = text.choose(&inside, &format!("%c{}", tile.width), "%c0");
        (text.place(tile.operand, &tile.at(self.product, &row, &column)), count)
    }

    /// Puts them into shared memory.
    fn fill(
        &self,
        text: &mut Text<'_, '_, '_>,
        vectors: &[String],
        turn: &str,
        store: &impl Fn(&mut Text<'_, '_, '_>, &Loaded<'_>),
    ) {
        for ((which, tile, first), vector) in self.accesses().into_iter().zip(vectors) {
            let flat = text.index("addi", "%tx", &format!("%c{first}"));
            let [row, column] = tile.place(text, &flat);
            store(
                text,
                &Loaded { which, elements: Elements::Vector(vector), tile, place: [&row, &column], turn },
            );
        }
    }

    /// Loads and stores single elements of the tiles that begin at `%step`.
    fn copy(
        &self,
        text: &mut Text<'_, '_, '_>,
        turn: &str,
        store: &impl Fn(&mut Text<'_, '_, '_>, &Loaded<'_>),
    ) {
        for (which, tile) in self.tiles.iter().enumerate() {
            let tile = &Tile { width: 1, ..*tile };
            text.put(&format!(
                "scf.for %flat = %tx to %c{} step %c{} {{",
                tile.rows * tile.columns,
                super::THREADS
            ));
            let place = tile.place(text, "%flat");
            let vector = &self.load_at(text, tile, "%step", &place);
            let elements = Elements::Vector(vector);
            store(text, &Loaded { which, elements, tile, place: [&place[0], &place[1]], turn });
            text.put("}");
        }
    }

    fn load_at(&self, text: &mut Text<'_, '_, '_>, tile: &Tile, step: &str, place: &[String; 2]) -> String {
        let (inside, [row, column]) = self.locate(text, tile, step, place);
        text.guarded(&inside, &tile.vector(self.generic), |text| {
            text.load_wide(tile.operand, &tile.at(self.product, &row, &column), tile.width)
        })
    }

    /// Row and column in the tensor of a place in the tile that begins at `step` along the sum, and whether there is such a place.
    fn locate(
        &self,
        text: &mut Text<'_, '_, '_>,
        tile: &Tile,
        step: &str,
        [row, column]: &[String; 2],
    ) -> (String, [String; 2]) {
        let Self { product, extents, .. } = self;
        let [row_loop, column_loop] = tile.loops;
        let by_loop = |values: [&str; 3], loop_: usize| match loop_ {
            _ if loop_ == product.m => values[0].to_owned(),
            _ if loop_ == product.n => values[1].to_owned(),
            _ => values[2].to_owned(),
        };
        let (start, ends) = (["%top", "%left", step], [&*extents[0], &*extents[1], &*extents[2]]);
        let row = text.index("addi", row, &by_loop(start, row_loop));
        let column = text.index("addi", column, &by_loop(start, column_loop));
        let inside = text.is_inside([&row, &column], [&by_loop(ends, row_loop), &by_loop(ends, column_loop)]);
        (inside, [row, column])
    }
}

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
            && output.extents().iter().rev().take(2).all(|extent| extent.is_none_or(|extent| extent >= FEWEST));
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
    /// Bits: rows of a, of b and of the result begin where wide accesses may.
    pub aligned: [String; 3],
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
        let [a, b] = [product.a, product.b].map(|operand| {
            let Operand { map, element, .. } = &generic.operands[operand];
            let length = match map.last() {
                Some(last) if *last == product.m => &extents[0],
                Some(last) if *last == product.n => &extents[1],
                _ => &extents[2],
            };
            let bytes = bytes_of(element).unwrap_or(ACCESS);
            let length = text.index("muli", length, &format!("%c{bytes}"));
            text.is_aligned(&[operand], &[length])
        });
        // Results go out in fours.
        let length = text.index("muli", &extents[1], "%c4");
        let c = text.is_aligned(&[generic.inputs], &[length]);
        let across = text.index("ceildivui", &extents[1], &format!("%c{side}"));
        let down = text.index("ceildivui", &extents[0], &format!("%c{side}"));
        let tiles = text.index("muli", &across, &down);
        let blocks = text.index("muli", &tiles, &matrices);
        text.put(&format!(
            "gpu.launch blocks(%bx, %by, %bz) in (%gx = {blocks}, %gy = %c1, %gz = %c1) \
             threads(%tx, %ty, %tz) in (%sx = %c{}, %sy = %c1, %sz = %c1) workgroup({shared}) {{\n\
             %batch = arith.divui %bx, {tiles} : index\n%tile = arith.remui %bx, {tiles} : index",
            super::THREADS
        ));
        let (i, j) = (text.index("divui", "%tile", &across), text.index("remui", "%tile", &across));
        text.put(&format!("%top = arith.muli {i}, %c{side} : index\n%left = arith.muli {j}, %c{side} : index"));
        Some(Self { extents, aligned: [a, b, c] })
    }
}

/// How a tile of an input goes through shared memory: as it lies in memory, rows of `columns` elements, by accesses of `width`.
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
    pub fn new(generic: &Generic<'_, '_>, product: &Product, operand: usize, [side, depth]: [usize; 2]) -> Self {
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

    /// Accesses of a thread.
    pub fn accesses(&self) -> usize {
        self.rows * self.columns / self.width / super::THREADS
    }

    /// Type of an access.
    pub fn vector(&self, generic: &Generic<'_, '_>) -> String {
        format!("vector<{}x{}>", self.width, generic.operands[self.operand].element)
    }

    /// Row and column in the tile of a thread's access `number`; threads that are neighbours take neighbours.
    pub fn place(&self, text: &mut Text<'_, '_, '_>, number: usize) -> (String, String) {
        let flat = text.index("addi", "%tx", &format!("%c{}", number * super::THREADS));
        let in_row = format!("%c{}", self.columns / self.width);
        let row = text.index("divui", &flat, &in_row);
        let column = text.index("remui", &flat, &in_row);
        let column = text.index("muli", &column, &format!("%c{}", self.width));
        (row, column)
    }

    /// What a thread loads of the tile that begins at `start` (by the product's loops): a vector an access, zero outside the
    /// tensor, one access if `aligned` and single elements otherwise.
    pub fn load(
        &self,
        text: &mut Text<'_, '_, '_>,
        generic: &Generic<'_, '_>,
        product: &Product,
        [start, extents]: [&[String; 3]; 2],
        aligned: &str,
    ) -> Vec<String> {
        let by_loop = |values: &[String; 3], loop_: usize| match loop_ {
            _ if loop_ == product.m => values[0].clone(),
            _ if loop_ == product.n => values[1].clone(),
            _ => values[2].clone(),
        };
        let (row_end, column_end) = (by_loop(extents, self.loops[0]), by_loop(extents, self.loops[1]));
        let ty = self.vector(generic);
        (0..self.accesses())
            .map(|number| {
                let (row, column) = self.place(text, number);
                let row = text.index("addi", &row, &by_loop(start, self.loops[0]));
                let column = text.index("addi", &column, &by_loop(start, self.loops[1]));
                let in_rows = text.compare("ult", &row, &row_end);
                let in_columns = text.compare("ult", &column, &column_end);
                let inside = text.both(&in_rows, &in_columns);
                let loaded = text.name();
                text.put(&format!("{loaded} = scf.if {inside} -> ({ty}) {{\n%r = scf.if {aligned} -> ({ty}) {{"));
                let whole = text.load_wide(self.operand, &self.at(product, &row, &column), self.width);
                text.put(&format!("scf.yield {whole} : {ty}\n}} else {{"));
                let single = self.load_single(text, generic, product, [&row, &column, &column_end]);
                text.put(&format!("scf.yield {single} : {ty}\n}}\nscf.yield %r : {ty}\n}} else {{"));
                text.put(&format!("{}\nscf.yield %z : {ty}\n}}", zeros("%z", &ty)));
                loaded
            })
            .collect()
    }

    fn load_single(
        &self,
        text: &mut Text<'_, '_, '_>,
        generic: &Generic<'_, '_>,
        product: &Product,
        [row, column, end]: [&str; 3],
    ) -> String {
        let ty = self.vector(generic);
        let element = &generic.operands[self.operand].element;
        let zero = text.name();
        text.put(&zeros(&zero, element));
        let mut elements = Vec::new();
        for lane in 0..self.width {
            let column = text.index("addi", column, &format!("%c{lane}"));
            let inside = text.compare("ult", &column, end);
            let name = text.name();
            text.put(&format!("{name} = scf.if {inside} -> ({element}) {{"));
            let value = text.load(self.operand, &self.at(product, row, &column));
            text.put(&format!("scf.yield {value} : {element}\n}} else {{\nscf.yield {zero} : {element}\n}}"));
            elements.push(name);
        }
        text.value(&format!("vector.from_elements {} : {ty}", elements.join(", ")))
    }

    /// Indices by loop of a place in the tensor.
    fn at(&self, product: &Product, row: &str, column: &str) -> Vec<String> {
        let by_loop = |loop_: usize| if loop_ == self.loops[0] { row } else { column };
        // The loop that the tensor does not follow takes any.
        product.indices([by_loop(product.m), by_loop(product.n), by_loop(product.k)])
    }

    /// Stores `vector` at a place in shared memory.
    pub fn store(
        &self,
        text: &mut Text<'_, '_, '_>,
        generic: &Generic<'_, '_>,
        vector: &str,
        place: &str,
        ty: &str,
    ) {
        let aligned = alignment(&generic.operands[self.operand].element, self.width);
        text.put(&format!("vector.store {vector}, {place} {aligned} : {ty}, {}", self.vector(generic)));
    }
}

/// A zero, or a vector of them, of type `ty`.
pub(super) fn zeros(name: &str, ty: &str) -> String {
    let is_float = ty.rsplit(['x', ' ']).next().is_some_and(|element| element.trim_end_matches('>').contains('f'));
    let zero = if is_float { "0.0" } else { "0" };
    if ty.starts_with("vector") {
        format!("{name} = arith.constant dense<{zero}> : {ty}")
    } else {
        format!("{name} = arith.constant {zero} : {ty}")
    }
}

//! Matrix products on the GPU: which kernels serve one, and what they bind.

use super::Product;
use super::kernels::{DIRECT, ElementParams, FEW_ROWS_TILES, GPU_SLICES, RowParams, SOFTWARE_SLICES, TILED, VECTOR, VECTOR_SUBGROUP};
use crate::ops::movement::{StridedCopy, Walk};
use crate::ops::tile::{SUBGROUP, Tile, workgroup_size};
use crate::plan::{
    Arg, Dispatch, Elem, FLOAT_ELEMENT, LowerContext, Lowering, Packing, Part, Variant, WORKGROUP_SIZE, collapse, workgroups_1d,
};

/// The most outputs that a software device computes faster one by one than as a tile which is mostly padding.
const FEW_OUTPUTS: usize = 16;

/// Every way to compute a product of inputs 0 and 1 plus input 2 on this device, best first; never empty.
pub(crate) fn lower_product(product: &Product, context: &LowerContext<'_>) -> Result<Vec<Lowering>, String> {
    let tensors = context.inputs.inputs.iter().flatten().map(|o| o.shape).chain(context.outputs.iter().map(|t| &t.shape));
    if tensors.into_iter().any(|s| s.checked_elements().is_none_or(|n| n > i32::MAX as usize)) {
        return Err("a tensor is too large for a shader's 32-bit indices".into());
    }
    let elem = context.elem(context.outputs[0].dtype)?;
    // Every kernel walks the inner axis, `matmul_vector` in slices on real GPUs alone.
    context.capabilities.check_iterations(product.inner)?;
    let product = merge_batch_into_rows(product);
    let axes = collapse(&product.batch, &[signed(&product.a.batch), signed(&product.b.batch)]);
    let aligned = |values: &[i64], fill| last_four(values, fill).ok_or("more than four broadcast leading axes");
    let extents: Vec<i64> = axes.dims.iter().map(|&d| d as i64).collect();
    let lowerer = Lowerer {
        elem,
        batch: aligned(&extents, 1)?,
        a_batch: aligned(&axes.strides[0], 0)?,
        b_batch: aligned(&axes.strides[1], 0)?,
        constant_b: context.inputs.get(1).is_some_and(|b| b.constant.is_some()),
        context,
        product,
    };
    lowerer.candidates()
}

/// A batch of products with one `B`, and one row of addends, is one product with more rows, where `A` is dense.
fn merge_batch_into_rows(product: &Product) -> Product {
    let mut merged = product.clone();
    let dense = product.batch.iter().rev().zip(product.a.batch.iter().rev());
    let mut expected = product.rows * product.inner;
    let a_is_dense = product.a.column == 1
        && product.a.row == product.inner
        && dense.into_iter().all(|(&extent, &stride)| {
            let fits = extent == 1 || stride == expected;
            expected *= extent;
            fits
        });
    let one_addend = product.c.is_none_or(|[row, _]| row == 0);
    if a_is_dense && one_addend && product.b.batch.iter().all(|&s| s == 0) {
        merged.rows = product.batch.iter().product::<usize>() * product.rows;
        merged.batch.clear();
        merged.a.batch.clear();
        merged.b.batch.clear();
    }
    merged
}

fn signed(strides: &[usize]) -> Vec<i64> {
    strides.iter().map(|&s| s as i64).collect()
}

/// Up to four numbers aligned to the last, `fill` before them.
fn last_four(values: &[i64], fill: u32) -> Option<[u32; 4]> {
    let missing = 4usize.checked_sub(values.len())?;
    let mut out = [fill; 4];
    out[missing..].iter_mut().zip(values).for_each(|(o, &v)| *o = v as u32);
    Some(out)
}

/// A product with its batch on four axes, every number checked to fit.
pub(super) struct Lowerer<'a> {
    pub product: Product,
    pub elem: Elem,
    pub batch: [u32; 4],
    pub a_batch: [u32; 4],
    pub b_batch: [u32; 4],
    pub constant_b: bool,
    pub context: &'a LowerContext<'a>,
}

/// Neighbouring columns of `B`: what one dispatch reads.
pub(super) struct Columns {
    pub b: Arg,
    pub first: usize,
    pub count: usize,
}

impl Columns {
    /// Vectors in a row.
    fn vectors(&self) -> usize {
        self.count.div_ceil(4)
    }
}

impl Lowerer<'_> {
    fn candidates(&self) -> Result<Vec<Lowering>, String> {
        let p = &self.product;
        let parts = self.vectors_of_b();
        let lowering = |dispatch: &dyn Fn(&Columns) -> Dispatch<Arg>| {
            parts.as_ref().map(|parts| Lowering { dispatches: parts.iter().map(dispatch).collect(), scratch: vec![] })
        };
        let tiled = lowering(&|columns| self.tiled(columns)).or_else(|| self.tiled_copy());
        let tile = FEW_ROWS_TILES.into_iter().find(|(rows, _)| *rows >= p.rows);
        let vector = tile.and_then(|tile| lowering(&|columns| self.vector(columns, tile)));
        let mut all: Vec<Lowering> = if self.software() {
            let first = tile.and_then(|tile| self.vector_subgroup(tile));
            [first, self.subgroup(), vector, tiled].into_iter().flatten().collect()
        } else {
            let costed = tiled.map(|tiled| (self.register_cost(self.register_tile()), tiled)).into_iter();
            let mut costed: Vec<_> = costed.chain(self.blocks()).collect();
            costed.sort_by_key(|(cost, _)| *cost);
            vector.into_iter().chain(costed.into_iter().map(|(_, lowering)| lowering)).collect()
        };
        if let Some(lowering) = self.direct() {
            // Vectors of four columns are mostly padding where there is but one; a copy of `B`, or a tile, pays where many rows share it.
            let few_outputs = if self.software() { p.rows * p.columns <= FEW_OUTPUTS } else { tile.is_some() };
            let direct = if p.columns == 1 || !self.constant_b && few_outputs { 0 } else { all.len() };
            all.insert(direct, lowering);
        }
        if self.software() {
            all.extend(self.blocks().into_iter().map(|(_, lowering)| lowering));
        }
        if all.is_empty() { Err("it has more outputs than the device dispatches invocations".into()) } else { Ok(all) }
    }

    pub(super) fn software(&self) -> bool {
        self.context.capabilities.software
    }

    /// The tiled kernel on a copy of `B`, its rows padded to vectors, for factors that are known at run time only.
    fn tiled_copy(&self) -> Option<Lowering> {
        let p = &self.product;
        let matrices = self.matrices_of_b();
        let columns = Columns { b: Arg::Scratch(0), first: 0, count: p.columns };
        let padded = 4 * columns.vectors();
        let strides = |matrix: usize, row: usize, column: usize| [matrix, row, column].map(|stride| stride as i64).to_vec();
        let copy = StridedCopy {
            dims: vec![matrices, p.inner, p.columns],
            input: Walk { offset: 0, strides: strides(p.inner * p.columns, p.b.row, p.b.column) },
            output: Walk { offset: 0, strides: strides(p.inner * padded, padded, 1) },
        };
        let elements = matrices.checked_mul(p.inner)?.checked_mul(padded).filter(|&n| n <= i32::MAX as usize)?;
        let dispatches = vec![copy.dispatch(self.context, Arg::Input(1), Arg::Scratch(0)).ok()?, self.tiled(&columns)];
        Some(Lowering { dispatches, scratch: vec![(elements * self.elem.size()) as u64] })
    }

    /// `B` in rows of vectors of four columns, split where no binding holds it whole; `None` where it is not known in time to
    /// be reordered.
    fn vectors_of_b(&self) -> Option<Vec<Columns>> {
        let p = &self.product;
        let (rows, columns) = (p.inner, p.columns);
        let whole = |b| Some(vec![Columns { b, first: 0, count: columns }]);
        let as_is = p.b.column == 1 && p.b.row == columns && columns.is_multiple_of(4);
        if !self.constant_b {
            return if as_is { whole(Arg::Input(1)) } else { None };
        }
        let widest = (self.context.capabilities.max_binding / 32 * 32) as usize / (rows.max(1) * self.elem.size()) / 4 * 4;
        let transposed = p.b.column != 1;
        if columns.next_multiple_of(4) > widest && widest > 0 && p.b.batch.iter().all(|&stride| stride == 0) {
            let part = |first| {
                let count = widest.min(columns - first);
                Columns { b: Arg::Packed(1, Packing::Columns { rows, columns, transposed, first, count, multiple: 4 }), first, count }
            };
            return Some((0..columns).step_by(widest).map(part).collect());
        }
        match (as_is, transposed) {
            (true, _) => whole(Arg::Input(1)),
            (false, false) => whole(Arg::Packed(1, Packing::PaddedRows { columns, multiple: 4 })),
            (false, true) => whole(Arg::Packed(1, Packing::Transposed { groups: 1, rows: columns, columns: rows, multiple: 4 })),
        }
    }

    /// The parameters for columns whose rows are `b_inner` vectors apart and matrices `b_matrix`.
    fn row_params(&self, columns: &Columns, b_inner: usize, b_matrix: usize) -> RowParams {
        let p = &self.product;
        let [c_row, c_column] = p.c.unwrap_or([0, 0]).map(|s| s as u32);
        // Whole matrices apart in elements are as many matrices apart in vectors.
        let matrix = (p.inner * p.columns).max(1) as u32;
        RowParams {
            batch: self.batch,
            a_batch: self.a_batch,
            b_batch: self.b_batch.map(|stride| stride / matrix * b_matrix as u32),
            rows: p.rows as u32,
            columns: columns.count as u32,
            inner: p.inner as u32,
            a_row: p.a.row as u32,
            a_inner: p.a.column as u32,
            b_inner: b_inner as u32,
            c_row,
            c_column,
            y_row: p.columns as u32,
            first_column: columns.first as u32,
            alpha: p.alpha,
            beta: p.beta,
        }
    }

    pub(super) fn element_params(&self) -> ElementParams {
        let p = &self.product;
        let [c_row, c_column] = p.c.unwrap_or([0, 0]).map(|s| s as u32);
        ElementParams {
            batch: self.batch,
            a_batch: self.a_batch,
            b_batch: self.b_batch,
            rows: p.rows as u32,
            columns: p.columns as u32,
            inner: p.inner as u32,
            a_row: p.a.row as u32,
            a_inner: p.a.column as u32,
            b_inner: p.b.row as u32,
            b_column: p.b.column as u32,
            c_row,
            c_column,
            alpha: p.alpha,
            beta: p.beta,
        }
    }

    pub(super) fn bindings(&self, b: Arg) -> Vec<Arg> {
        vec![Arg::Input(0), b, if self.product.c.is_some() { Arg::Input(2) } else { Arg::Unused }, Arg::Output(0)]
    }

    pub(super) fn batches(&self) -> usize {
        self.batch.iter().map(|&n| n as usize).product()
    }

    /// The tile of the kernel without workgroup memory.
    fn register_tile(&self) -> &'static Tile {
        let p = &self.product;
        // The registers of a CPU hold no more than eight rows; a GPU's lanes would idle over the second vector of a short row.
        match self.software() {
            true => Tile::for_rows(p.rows.min(8)),
            false if p.columns.div_ceil(4) <= WORKGROUP_SIZE as usize => Tile::for_rows(1),
            // Sixteen rows of 64-bit integers are more than registers hold.
            false if self.elem == Elem::I64 => Tile::for_rows(p.rows.min(8)),
            false => Tile::for_rows(p.rows),
        }
    }

    fn tiled(&self, columns: &Columns) -> Dispatch<Arg> {
        let p = &self.product;
        let workgroup = workgroup_size(self.software());
        let tile = self.register_tile();
        let variant =
            Variant::new(&TILED, vec![self.elem], Some(tile.header), vec![p.c.is_some().into(), self.software().into(), workgroup]);
        let blocks = columns.vectors().div_ceil(workgroup as usize * tile.vectors);
        let workgroups = [p.rows.div_ceil(tile.rows), blocks, self.batches()].map(|n| n as u32);
        let params = self.row_params(columns, columns.vectors(), p.inner * columns.vectors());
        let params = bytemuck::bytes_of(&params).to_vec();
        Dispatch { variant, params, bindings: self.bindings(columns.b.clone()), workgroups }
    }

    fn vector(&self, columns: &Columns, (rows, header): (usize, Part)) -> Dispatch<Arg> {
        let p = &self.product;
        let [vectors, slices] = if self.software() { SOFTWARE_SLICES } else { GPU_SLICES };
        let variant = Variant::new(&VECTOR, vec![self.elem], Some(header), vec![vectors, slices, p.c.is_some().into()]);
        let workgroups = [columns.vectors().div_ceil(vectors as usize), p.rows.div_ceil(rows), self.batches()].map(|n| n as u32);
        let params = self.row_params(columns, columns.vectors(), p.inner * columns.vectors());
        let params = bytemuck::bytes_of(&params).to_vec();
        Dispatch { variant, params, bindings: self.bindings(columns.b.clone()), workgroups }
    }

    /// For few rows and a constant `B`, on devices whose subgroups share their loads.
    fn vector_subgroup(&self, (rows, header): (usize, Part)) -> Option<Lowering> {
        let p = &self.product;
        if !self.constant_b || !self.is_float() {
            return None;
        }
        let vectors = SUBGROUP as usize;
        let dispatch = |columns: &Columns| {
            let panels = columns.count.div_ceil(4 * vectors);
            let variant = Variant::new(&VECTOR_SUBGROUP, vec![self.elem], Some(header), vec![p.c.is_some().into()]);
            let params = self.row_params(columns, vectors, p.inner * panels * vectors);
            Dispatch {
                variant,
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: self.bindings(columns.b.clone()),
                workgroups: [panels, p.rows.div_ceil(rows), self.batches()].map(|n| n as u32),
            }
        };
        Some(Lowering { dispatches: self.panels_of_b(4 * vectors).iter().map(dispatch).collect(), scratch: vec![] })
    }

    pub(super) fn is_float(&self) -> bool {
        FLOAT_ELEMENT.allowed.contains(&self.elem)
    }

    fn direct(&self) -> Option<Lowering> {
        let p = &self.product;
        let variant = Variant::new(&DIRECT, vec![self.elem], None, vec![p.c.is_some().into(), WORKGROUP_SIZE]);
        let workgroups = workgroups_1d(p.outputs(), WORKGROUP_SIZE as usize, self.context.capabilities.max_workgroups)?;
        Some(Lowering::single(variant, &self.element_params(), self.bindings(Arg::Input(1)), workgroups))
    }
}

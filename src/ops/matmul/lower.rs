//! The kernels of matrix products and when each one serves.

use super::Product;
use crate::ops::tile::{TILE_HEADERS, Tile, WORKGROUPS, workgroup_size};
use crate::plan::{
    Access, Arg, Elem, INDEX, Kernel, LowerContext, Lowering, Override, Packing, Part, TypeRole, Variant, WORKGROUP_SIZE, collapse, params,
    part, workgroups_1d,
};

/// The types that the kernels are written for: 64-bit integers run on the CPU.
const ELEMENT: TypeRole = TypeRole { role: "Element", allowed: &[Elem::F32, Elem::F16, Elem::I32, Elem::U32] };

/// `batch_offset`
const BATCH: Part = part!("shared/batch.wgsl");

const HAS_C: Override = Override { name: "HAS_C", values: &[0, 1] };
const BINDINGS: &[Access] = &[Access::Read, Access::Read, Access::Read, Access::Write];

/// Vectors of columns and slices of the inner axis in a workgroup of the vector kernel: `[COLUMNS, SLICES]`.
const SOFTWARE_SLICES: [u32; 2] = [8, 1];
const GPU_SLICES: [u32; 2] = [16, 16];

/// The most rows for which the vector kernel is offered.
const FEW_ROWS: usize = 4;

params! {
    pub(crate) struct RowParams {
        batch: [u32; 4],
        a_batch: [u32; 4],
        b_batch: [u32; 4],
        rows: u32,
        columns: u32,
        inner: u32,
        a_row: u32,
        a_inner: u32,
        b_inner: u32,
        c_row: u32,
        c_column: u32,
        alpha: f32,
        beta: f32,
    }
}

pub(crate) static TILED: Kernel = Kernel {
    name: "matmul",
    body: part!("matmul.wgsl"),
    parts: &[BATCH],
    types: &[ELEMENT],
    tiles: TILE_HEADERS,
    overrides: &[HAS_C, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: RowParams::LAYOUT,
    bindings: BINDINGS,
};

pub(crate) static VECTOR: Kernel = Kernel {
    name: "matmul_vector",
    body: part!("matmul_vector.wgsl"),
    parts: &[BATCH],
    types: &[ELEMENT],
    tiles: &[],
    overrides: &[
        Override { name: "COLUMNS", values: &[SOFTWARE_SLICES[0], GPU_SLICES[0]] },
        Override { name: "SLICES", values: &[SOFTWARE_SLICES[1], GPU_SLICES[1]] },
        HAS_C,
    ],
    params: RowParams::LAYOUT,
    bindings: BINDINGS,
};

params! {
    pub(crate) struct ElementParams {
        batch: [u32; 4],
        a_batch: [u32; 4],
        b_batch: [u32; 4],
        outputs: u32,
        rows: u32,
        columns: u32,
        inner: u32,
        a_row: u32,
        a_inner: u32,
        b_inner: u32,
        b_column: u32,
        c_row: u32,
        c_column: u32,
        alpha: f32,
        beta: f32,
    }
}

pub(crate) static DIRECT: Kernel = Kernel {
    name: "matmul_direct",
    body: part!("matmul_direct.wgsl"),
    parts: &[BATCH, INDEX],
    types: &[ELEMENT],
    tiles: &[],
    overrides: &[HAS_C, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ElementParams::LAYOUT,
    bindings: BINDINGS,
};

/// Every way to compute a product of inputs 0 and 1 plus input 2 on this device, best first; never empty.
pub(crate) fn lower_product(product: &Product, context: &LowerContext<'_>) -> Result<Vec<Lowering>, String> {
    let tensors = context.inputs.inputs.iter().flatten().map(|o| o.shape).chain(context.outputs.iter().map(|t| &t.shape));
    if tensors.into_iter().any(|s| s.checked_elements().is_none_or(|n| n > i32::MAX as usize)) {
        return Err("a tensor is too large for a shader's 32-bit indices".into());
    }
    let elem = context.elem(context.outputs[0].dtype)?;
    if !ELEMENT.allowed.contains(&elem) {
        return Err(format!("matrix products have no kernel for {}", elem.name()));
    }
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
        software: context.capabilities.software,
        product,
    };
    lowerer.candidates(context.capabilities.max_workgroups)
}

/// A batch of products with one `B` is one product with more rows, where `A` is dense.
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
    if a_is_dense && product.c.is_none() && product.b.batch.iter().all(|&s| s == 0) {
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
struct Lowerer {
    product: Product,
    elem: Elem,
    batch: [u32; 4],
    a_batch: [u32; 4],
    b_batch: [u32; 4],
    constant_b: bool,
    software: bool,
}

impl Lowerer {
    fn candidates(&self, max_workgroups: u32) -> Result<Vec<Lowering>, String> {
        let mut all = vec![];
        if let Some((b, row_vectors)) = self.vectors_of_b() {
            if self.product.rows <= FEW_ROWS {
                all.push(self.vector(b.clone(), row_vectors));
            }
            // On a software device a row read once from cache costs more than the rows of a tile share.
            let tiled = if self.software && self.product.rows > 1 { 0 } else { all.len() };
            all.insert(tiled, self.tiled(b, row_vectors));
        }
        // Vectors of four columns are mostly padding where there is but one.
        let direct = if self.product.columns == 1 { 0 } else { all.len() };
        if let Some(lowering) = self.direct(max_workgroups) {
            all.insert(direct, lowering);
        }
        if all.is_empty() { Err("it has more outputs than the device dispatches invocations".into()) } else { Ok(all) }
    }

    /// `B` in rows of vectors of four columns, and their number in a row; `None` where it is not known in time to be reordered.
    fn vectors_of_b(&self) -> Option<(Arg, usize)> {
        let p = &self.product;
        let (rows, columns) = (p.inner, p.columns);
        let row_vectors = columns.div_ceil(4);
        let as_is = p.b.column == 1 && p.b.row == columns && columns.is_multiple_of(4);
        let arg = match (as_is, self.constant_b) {
            (true, _) => Arg::Input(1),
            (false, false) => return None,
            (false, true) if p.b.column == 1 => Arg::Packed(1, Packing::PaddedRows { columns, multiple: 4 }),
            (false, true) => Arg::Packed(1, Packing::Transposed { groups: 1, rows: columns, columns: rows, multiple: 4 }),
        };
        Some((arg, row_vectors))
    }

    fn row_params(&self, row_vectors: usize) -> RowParams {
        let p = &self.product;
        let [c_row, c_column] = p.c.unwrap_or([0, 0]).map(|s| s as u32);
        // Whole matrices apart in elements are as many matrices apart in vectors.
        let matrix = (p.inner * p.columns).max(1) as u32;
        RowParams {
            batch: self.batch,
            a_batch: self.a_batch,
            b_batch: self.b_batch.map(|stride| stride / matrix * (p.inner * row_vectors) as u32),
            rows: p.rows as u32,
            columns: p.columns as u32,
            inner: p.inner as u32,
            a_row: p.a.row as u32,
            a_inner: p.a.column as u32,
            b_inner: row_vectors as u32,
            c_row,
            c_column,
            alpha: p.alpha,
            beta: p.beta,
        }
    }

    fn bindings(&self, b: Arg) -> Vec<Arg> {
        vec![Arg::Input(0), b, if self.product.c.is_some() { Arg::Input(2) } else { Arg::Unused }, Arg::Output(0)]
    }

    fn batches(&self) -> usize {
        self.batch.iter().map(|&n| n as usize).product()
    }

    fn tiled(&self, b: Arg, row_vectors: usize) -> Lowering {
        let p = &self.product;
        let tile = Tile::for_rows(p.rows);
        let workgroup = workgroup_size(self.software);
        let variant =
            Variant { kernel: &TILED, types: vec![self.elem], tile: Some(tile.header), overrides: vec![p.c.is_some().into(), workgroup] };
        let blocks = row_vectors.div_ceil(workgroup as usize * tile.vectors);
        let workgroups = [p.rows.div_ceil(tile.rows), blocks, self.batches()].map(|n| n as u32);
        Lowering::single(variant, &self.row_params(row_vectors), self.bindings(b), workgroups)
    }

    fn vector(&self, b: Arg, row_vectors: usize) -> Lowering {
        let p = &self.product;
        let [columns, slices] = if self.software { SOFTWARE_SLICES } else { GPU_SLICES };
        let variant =
            Variant { kernel: &VECTOR, types: vec![self.elem], tile: None, overrides: vec![columns, slices, p.c.is_some().into()] };
        let workgroups = [row_vectors.div_ceil(columns as usize), p.rows, self.batches()].map(|n| n as u32);
        Lowering::single(variant, &self.row_params(row_vectors), self.bindings(b), workgroups)
    }

    fn direct(&self, max_workgroups: u32) -> Option<Lowering> {
        let p = &self.product;
        let [c_row, c_column] = p.c.unwrap_or([0, 0]).map(|s| s as u32);
        let outputs = p.outputs();
        let params = ElementParams {
            batch: self.batch,
            a_batch: self.a_batch,
            b_batch: self.b_batch,
            outputs: outputs as u32,
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
        };
        let variant =
            Variant { kernel: &DIRECT, types: vec![self.elem], tile: None, overrides: vec![p.c.is_some().into(), WORKGROUP_SIZE] };
        let workgroups = workgroups_1d(outputs, WORKGROUP_SIZE as usize, max_workgroups)?;
        Some(Lowering::single(variant, &params, self.bindings(Arg::Input(1)), workgroups))
    }
}

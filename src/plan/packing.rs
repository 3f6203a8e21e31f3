//! How constants are reordered, once, into the order a kernel reads them.

use super::winograd;
use crate::tensor::{DType, Tensor, for_each_dtype};

/// An order of a constant's elements on the GPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Packing {
    /// As the graph has them.
    AsIs,
    /// `groups` matrices of `[rows, columns]` each transposed and its rows zero-padded: `[groups, columns, rows']`
    /// with `rows'` the next multiple of `multiple`. Convolution weights `[M, C/g, kh, kw]` become `[g, K, M/g']`.
    Transposed {
        /// Number of matrices.
        groups: usize,
        /// Rows of each.
        rows: usize,
        /// Columns of each.
        columns: usize,
        /// What the number of rows is padded to a multiple of.
        multiple: usize,
    },
    /// `groups` matrices of `[rows, columns]` each cut into tiles of `tile` rows, the last zero-padded, and each tile transposed:
    /// `[groups, ⌈rows / tile⌉, columns, tile]`, so that a kernel with tiles of so many rows reads one long run.
    Tiles {
        /// Number of matrices.
        groups: usize,
        /// Rows of each.
        rows: usize,
        /// Columns of each.
        columns: usize,
        /// Rows of a tile.
        tile: usize,
    },
    /// Integers as `i32`, which every device has; for values known to fit.
    Narrow,
    /// Rows of `columns` elements, each zero-padded to a multiple of `multiple`.
    PaddedRows {
        /// Length of each row.
        columns: usize,
        /// What the number of columns is padded to a multiple of.
        multiple: usize,
    },
    /// Neighbouring columns of one matrix, each row of them zero-padded: `[rows, count']` with `count'` the next multiple of
    /// `multiple`. For matrices that are larger than a binding.
    Columns {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
        /// Whether the constant is the matrix's transpose.
        transposed: bool,
        /// The first column.
        first: usize,
        /// How many there are.
        count: usize,
        /// What their number is padded to a multiple of.
        multiple: usize,
    },
    /// Neighbouring columns of `groups` matrices of `[rows, columns]`, cut into panels of `width` columns, the last one zero-padded:
    /// `[groups, ⌈count / width⌉, rows, width]`, so that a kernel with so many columns reads one long run.
    Panels {
        /// Number of matrices.
        groups: usize,
        /// Rows of each.
        rows: usize,
        /// Columns of each.
        columns: usize,
        /// Whether the constant has the matrices' transposes.
        transposed: bool,
        /// The first column.
        first: usize,
        /// How many there are.
        count: usize,
        /// Columns of a panel.
        width: usize,
    },
    /// Rows of `columns` eight-bit integers, four signed bytes to a `u32`, the first one lowest, the unsigned ones less 128; each
    /// row zero-padded to sixteen bytes and followed by sixteen that begin with the sum of its bytes, in `i32`.
    Bytes {
        /// Length of each row.
        columns: usize,
    },
    /// 3×3 kernels `[rows, columns, 3, 3]` of `f32`, transformed for Winograd convolution: `[planes, ⌈rows / tile⌉, columns, tile]` with a
    /// plane for each element of a tile of the transform, and rows in tiles as [`Packing::Tiles`] has them.
    Winograd {
        /// Outputs of a tile along each axis, 2 or 4.
        outputs: usize,
        /// Output channels.
        rows: usize,
        /// Input channels.
        columns: usize,
        /// Rows of a tile of the products.
        tile: usize,
    },
}

impl Packing {
    /// The element type after packing elements of `dtype`.
    pub fn dtype(self, dtype: DType) -> DType {
        match self {
            Packing::Narrow => DType::I32,
            Packing::Bytes { .. } => DType::U32,
            _ => dtype,
        }
    }

    /// How many elements `elements` of them become.
    pub fn elements(self, elements: usize) -> usize {
        match self {
            Packing::AsIs | Packing::Narrow => elements,
            Packing::Transposed { rows, multiple, .. } => elements / rows.max(1) * rows.next_multiple_of(multiple),
            Packing::Tiles { rows, tile, .. } => elements / rows.max(1) * rows.next_multiple_of(tile),
            Packing::PaddedRows { columns, multiple } => elements / columns.max(1) * columns.next_multiple_of(multiple),
            Packing::Columns { rows, count, multiple, .. } => rows * count.next_multiple_of(multiple),
            Packing::Panels { groups, rows, count, width, .. } => groups * rows * count.next_multiple_of(width),
            Packing::Bytes { columns } => elements / columns.max(1) * (4 * columns.div_ceil(16) + 4),
            Packing::Winograd { outputs, rows, columns, tile } => winograd::planes(outputs) * columns * rows.next_multiple_of(tile),
        }
    }

    /// The elements of `tensor` in this order.
    pub fn apply(self, tensor: &Tensor) -> Tensor {
        match self {
            Packing::AsIs => tensor.clone(),
            Packing::Narrow => {
                let narrow = |x: i64| x.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
                Tensor::of(tensor.shape(), tensor.to_i64().expect("only integers are narrowed").into_iter().map(narrow).collect())
            }
            Packing::Transposed { groups, rows, columns, multiple } => {
                let padded = rows.next_multiple_of(multiple);
                for_each_dtype!(tensor.data_ref(), values => {
                    let mut out = vec![Default::default(); groups * columns * padded];
                    for g in 0..groups {
                        for r in 0..rows {
                            for c in 0..columns {
                                out[(g * columns + c) * padded + r] = values[(g * rows + r) * columns + c];
                            }
                        }
                    }
                    Tensor::of([groups, columns, padded], out)
                })
            }
            Packing::Tiles { groups, rows, columns, tile } => {
                let tiles = rows.div_ceil(tile);
                for_each_dtype!(tensor.data_ref(), values => {
                    let mut out = vec![Default::default(); groups * tiles * columns * tile];
                    for g in 0..groups {
                        for r in 0..rows {
                            for c in 0..columns {
                                out[((g * tiles + r / tile) * columns + c) * tile + r % tile] = values[(g * rows + r) * columns + c];
                            }
                        }
                    }
                    Tensor::of([groups, tiles, columns, tile], out)
                })
            }
            Packing::PaddedRows { columns, multiple } => {
                let padded = columns.next_multiple_of(multiple);
                for_each_dtype!(tensor.data_ref(), values => {
                    let mut out = vec![Default::default(); values.len() / columns.max(1) * padded];
                    for (row, source) in out.chunks_exact_mut(padded.max(1)).zip(values.chunks_exact(columns.max(1))) {
                        row[..columns].copy_from_slice(source);
                    }
                    Tensor::of([out.len() / padded.max(1), padded], out)
                })
            }
            Packing::Columns { rows, columns, transposed, first, count, multiple } => {
                let padded = count.next_multiple_of(multiple);
                for_each_dtype!(tensor.data_ref(), values => {
                    let mut out = vec![Default::default(); rows * padded];
                    for row in 0..rows {
                        for column in 0..count {
                            let (row_stride, column_stride) = if transposed { (1, rows) } else { (columns, 1) };
                            out[row * padded + column] = values[row * row_stride + (first + column) * column_stride];
                        }
                    }
                    Tensor::of([rows, padded], out)
                })
            }
            Packing::Panels { groups, rows, columns, transposed, first, count, width } => {
                let panels = count.div_ceil(width);
                let (row_stride, column_stride) = if transposed { (1, rows) } else { (columns, 1) };
                for_each_dtype!(tensor.data_ref(), values => {
                    let mut out = vec![Default::default(); groups * panels * rows * width];
                    // Panel by panel, row by row: what is written lies side by side.
                    for (at, run) in out.chunks_exact_mut(width).enumerate() {
                        let (matrix, row) = (at / rows / panels * rows * columns, at % rows);
                        let from = at / rows % panels * width;
                        for (column, value) in run.iter_mut().enumerate().take(count - from) {
                            *value = values[matrix + row * row_stride + (first + from + column) * column_stride];
                        }
                    }
                    Tensor::of([groups, panels, rows, width], out)
                })
            }
            Packing::Bytes { columns } => {
                let shift = if tensor.dtype() == DType::U8 { 128 } else { 0 };
                let values = tensor.to_i64().expect("only integers are packed in bytes");
                let words = 4 * columns.div_ceil(16) + 4;
                let mut out = vec![0u32; self.elements(values.len())];
                for (row, values) in out.chunks_exact_mut(words).zip(values.chunks_exact(columns.max(1))) {
                    for (k, value) in values.iter().enumerate() {
                        row[k / 4] |= u32::from((value - shift) as u8) << (8 * (k % 4));
                    }
                    row[words - 4] = values.iter().map(|value| value - shift).sum::<i64>() as u32;
                }
                Tensor::of([out.len() / words, words], out)
            }
            Packing::Winograd { outputs, rows, columns, tile } => {
                let tiles = rows.div_ceil(tile);
                let kernels = tensor.data::<f32>().expect("only f32 is transformed");
                let mut out = vec![0f32; self.elements(kernels.len())];
                let planes = winograd::planes(outputs);
                // Row by row inside, so that what is written lies side by side in each plane.
                for column in 0..columns {
                    for row in 0..rows {
                        let values = winograd::transform(outputs, &kernels[9 * (row * columns + column)..][..9]);
                        for (plane, value) in values[..planes].iter().enumerate() {
                            out[((plane * tiles + row / tile) * columns + column) * tile + row % tile] = *value as f32;
                        }
                    }
                }
                Tensor::of([planes, tiles, columns, tile], out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_transposed_and_the_last_one_padded() {
        let w = Tensor::new([6, 2], (1..=12).collect::<Vec<i32>>()).unwrap();
        let packing = Packing::Tiles { groups: 2, rows: 3, columns: 2, tile: 2 };
        let packed = packing.apply(&w);
        assert_eq!(packed.shape().dims(), [2, 2, 2, 2]);
        assert_eq!(packing.elements(12), 16);
        assert_eq!(packed.data::<i32>().unwrap(), [1, 3, 2, 4, 5, 0, 6, 0, 7, 9, 8, 10, 11, 0, 12, 0]);
    }

    #[test]
    fn transposed_pads_rows_with_zeros() {
        let w = Tensor::new([4, 3], (1..=12).collect::<Vec<i32>>()).unwrap();
        let packed = Packing::Transposed { groups: 2, rows: 2, columns: 3, multiple: 4 }.apply(&w);
        assert_eq!(packed.shape().dims(), [2, 3, 4]);
        assert_eq!(packed.data::<i32>().unwrap()[..12], [1, 4, 0, 0, 2, 5, 0, 0, 3, 6, 0, 0]);
        assert_eq!(packed.data::<i32>().unwrap()[12..16], [7, 10, 0, 0]);
    }

    #[test]
    fn narrow_keeps_values() {
        let indices = Tensor::new([2, 2], vec![-1i64, 0, 7, i64::MAX]).unwrap();
        assert_eq!(Packing::Narrow.apply(&indices), Tensor::new([2, 2], vec![-1i32, 0, 7, i32::MAX]).unwrap());
        assert_eq!(Packing::Narrow.dtype(indices.dtype()), DType::I32);
    }

    #[test]
    fn rows_are_padded_with_zeros() {
        let w = Tensor::new([2, 3], (1..=6).collect::<Vec<i32>>()).unwrap();
        let packed = Packing::PaddedRows { columns: 3, multiple: 4 }.apply(&w);
        assert_eq!(packed.data::<i32>().unwrap(), [1, 2, 3, 0, 4, 5, 6, 0]);
    }

    #[test]
    fn columns_are_cut_out_of_a_matrix_or_its_transpose() {
        let w = Tensor::new([2, 5], (1..=10).collect::<Vec<i32>>()).unwrap();
        let cut = |rows, columns, transposed| Packing::Columns { rows, columns, transposed, first: 1, count: 3, multiple: 4 };
        assert_eq!(cut(2, 5, false).apply(&w), Tensor::new([2, 4], vec![2, 3, 4, 0, 7, 8, 9, 0]).unwrap());
        let w = w.reshape([5, 2]).unwrap();
        assert_eq!(cut(2, 5, true).apply(&w), Tensor::new([2, 4], vec![3, 5, 7, 0, 4, 6, 8, 0]).unwrap());
    }

    #[test]
    fn panels_are_cut_out_of_matrices_or_their_transposes() {
        let w = Tensor::new([2, 2, 4], (1..=16).collect::<Vec<i32>>()).unwrap();
        let cut = |rows, columns, transposed| Packing::Panels { groups: 2, rows, columns, transposed, first: 1, count: 3, width: 2 };
        let packed = cut(2, 4, false).apply(&w);
        assert_eq!(packed.shape().dims(), [2, 2, 2, 2]);
        assert_eq!(cut(2, 4, false).elements(16), 16);
        assert_eq!(packed.data::<i32>().unwrap(), [2, 3, 6, 7, 4, 0, 8, 0, 10, 11, 14, 15, 12, 0, 16, 0]);
        let w = w.reshape([2, 4, 2]).unwrap();
        assert_eq!(cut(2, 4, true).apply(&w).data::<i32>().unwrap(), [3, 5, 4, 6, 7, 0, 8, 0, 11, 13, 12, 14, 15, 0, 16, 0]);
    }

    #[test]
    fn bytes_are_signed_and_followed_by_their_sum() {
        let signed = Tensor::new([2, 5], vec![1i8, -2, 127, -128, -1, 0, 3, 0, 0, 7]).unwrap();
        let packed = Packing::Bytes { columns: 5 }.apply(&signed);
        assert_eq!(packed.shape().dims(), [2, 8]);
        assert_eq!(packed.data::<u32>().unwrap()[..8], [0x807f_fe01, 0xff, 0, 0, -3i32 as u32, 0, 0, 0]);
        assert_eq!(packed.data::<u32>().unwrap()[8..], [0x0000_0300, 7, 0, 0, 10, 0, 0, 0]);
        let unsigned = Tensor::new([1, 17], (0..17).map(|k| k * 15).collect::<Vec<u8>>()).unwrap();
        let packed = Packing::Bytes { columns: 17 }.apply(&unsigned);
        assert_eq!(packed.data::<u32>().unwrap()[..5], [0xad9e_8f80, 0xe9da_cbbc, 0x2516_07f8, 0x6152_4334, 0x70]);
        assert_eq!(packed.data::<u32>().unwrap()[8] as i32, -136);
    }

    #[test]
    fn transformed_kernels_lie_in_planes() {
        // All three kernels are alike but for a factor: every plane is, and the last row is padding.
        let base = [1., -2., 3., 0.5, 4., -1., 2., 0.25, -3f32];
        let kernels: Vec<f32> = [1., 2., 4.].iter().flat_map(|factor| base.map(|x| factor * x)).collect();
        let w = Tensor::new([3, 1, 3, 3], kernels).unwrap();
        let packed = Packing::Winograd { outputs: 2, rows: 3, columns: 1, tile: 4 }.apply(&w);
        assert_eq!(packed.shape().dims(), [16, 1, 1, 4]);
        let values = packed.data::<f32>().unwrap();
        assert_eq!(values[..4], [1., 2., 4., 0.]);
        assert_eq!(values[12..16], [3., 6., 12., 0.]);
        assert_eq!(values[48..52], [2., 4., 8., 0.]);
        assert!(values.chunks(4).all(|row| row[1] == 2. * row[0] && row[2] == 4. * row[0] && row[3] == 0.));
    }

    #[test]
    fn packed_sizes_are_known_before_packing() {
        let w = Tensor::new([6, 5], (0..30).collect::<Vec<i32>>()).unwrap();
        let transposed = Packing::Transposed { groups: 2, rows: 3, columns: 5, multiple: 8 };
        let part = Packing::Columns { rows: 6, columns: 5, transposed: false, first: 2, count: 2, multiple: 4 };
        for packing in [Packing::AsIs, transposed, Packing::PaddedRows { columns: 5, multiple: 4 }, part, Packing::Bytes { columns: 5 }] {
            assert_eq!(packing.elements(w.len()), packing.apply(&w).len(), "{packing:?}");
        }
        let kernels = Tensor::new([2, 3, 3, 3], vec![1f32; 54]).unwrap();
        let winograd = Packing::Winograd { outputs: 4, rows: 2, columns: 3, tile: 4 };
        assert_eq!(winograd.elements(54), winograd.apply(&kernels).len());
    }
}

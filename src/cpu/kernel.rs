//! Products of packed weights with columns: the inner loop of convolution, in the widest vectors that the processor has.

use std::ops::Range;
use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::gemm::Tile;

/// Rows of a block of packed weights: with three vectors of columns they fill 24 of 32 registers.
pub(super) const ROWS: usize = 8;

/// Vectors of columns that are summed at once.
const VECTORS: usize = 3;

/// More elements than so many vectors have on any processor.
const WIDEST: usize = 64;

/// Runs `f` compiled for the widest vectors of this processor. What `f` calls must be inlined into it.
#[inline]
pub(super) fn widest<F: WithSimd>(f: F) -> F::Output {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    ARCH.get_or_init(Arch::new).dispatch(f)
}

/// Weights `[groups, rows, depth]` in the order in which products read them: `[groups, rows / 8, depth, 8]`, zero beyond the last row.
pub(crate) struct Packed {
    data: Vec<f32>,
    rows: usize,
    depth: usize,
}

impl Packed {
    pub(super) fn new(weight: &[f32], rows: usize, depth: usize) -> Self {
        let blocks = rows.div_ceil(ROWS);
        let groups = weight.len() / (rows * depth).max(1);
        let mut data = vec![0f32; groups * blocks * depth * ROWS];
        data.par_chunks_exact_mut((depth * ROWS).max(1)).enumerate().for_each(|(at, to)| {
            let (group, first) = (at / blocks, at % blocks * ROWS);
            for row in first..rows.min(first + ROWS) {
                let from = &weight[(group * rows + row) * depth..][..depth];
                to.iter_mut().skip(row - first).step_by(ROWS).zip(from).for_each(|(to, from)| *to = *from);
            }
        });
        Self { data, rows, depth }
    }

    /// Rows `8 · block …` of a group at the `depth` given.
    #[inline(always)]
    fn block(&self, group: usize, block: usize, depth: &Range<usize>) -> &[f32] {
        let block = &self.data[(group * self.rows.div_ceil(ROWS) + block) * self.depth * ROWS..][..self.depth * ROWS];
        &block[depth.start * ROWS..depth.end * ROWS]
    }
}

/// What a product starts from.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    /// What is in the tile.
    Tile,
    Zero,
    /// One number a row.
    Bias(&'a [f32]),
}

/// `tile = start + w · columns`
pub(super) struct Product<'a, 'b> {
    pub weight: &'a Packed,
    pub group: usize,
    /// The row of the weight that is the tile's first; a multiple of eight.
    pub first_row: usize,
    /// The part of the weight's depth that `columns` is for.
    pub depth: Range<usize>,
    /// Row `k` begins at `offsets[k]`. Elements behind a row may be read, and are ignored; where the last rows end before a whole
    /// vector does, offsets rise.
    pub columns: &'a [f32],
    pub offsets: &'a [usize],
    pub start: Start<'a>,
    pub tile: &'a mut Tile<'b>,
}

impl WithSimd for Product<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [rows, cols] = self.tile.extents();
        let lanes = S::F32_LANES;
        for col in (0..cols).step_by(VECTORS * lanes) {
            let count = (cols - col).min(VECTORS * lanes);
            // So many rows of columns end no earlier than a whole vector.
            let end = col + count.next_multiple_of(lanes);
            let whole = self.offsets.partition_point(|offset| offset + end <= self.columns.len());
            for row in (0..rows).step_by(ROWS) {
                match count.div_ceil(lanes) {
                    1 => self.rows::<S, 1>(simd, row, col, count, whole),
                    2 => self.rows::<S, 2>(simd, row, col, count, whole),
                    _ => self.rows::<S, VECTORS>(simd, row, col, count, whole),
                }
            }
        }
    }
}

impl Product<'_, '_> {
    /// Eight rows, or as many as there are, of `V` vectors of columns.
    #[inline(always)]
    fn rows<S: Simd, const V: usize>(&mut self, simd: S, row: usize, col: usize, count: usize, whole: usize) {
        let many = S::REGISTER_COUNT >= 32;
        let [rows, _] = self.tile.extents();
        if many && rows - row > ROWS / 2 {
            self.block::<S, ROWS, V, 0>(simd, row, col, count, whole);
        } else {
            self.block::<S, { ROWS / 2 }, V, 0>(simd, row, col, count, whole);
            if rows - row > ROWS / 2 {
                self.block::<S, { ROWS / 2 }, V, { ROWS / 2 }>(simd, row, col, count, whole);
            }
        }
    }

    /// `R` rows from `AT` on of the block at `row`.
    #[inline(always)]
    fn block<S: Simd, const R: usize, const V: usize, const AT: usize>(
        &mut self,
        simd: S,
        row: usize,
        col: usize,
        count: usize,
        whole: usize,
    ) {
        let width = V * S::F32_LANES;
        let weight = self.weight.block(self.group, (self.first_row + row) / ROWS, &self.depth);
        let columns = &self.columns[col..];
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let (most, last) = self.offsets.split_at(whole);
        for (weight, &offset) in weight.chunks_exact(ROWS).zip(most) {
            add::<S, R, V, AT>(simd, weight, &columns[offset..][..width], &mut sums);
        }
        for (weight, &offset) in weight.chunks_exact(ROWS).skip(whole).zip(last) {
            let mut padded = [0f32; WIDEST];
            padded[..count].copy_from_slice(&columns[offset..][..count]);
            add::<S, R, V, AT>(simd, weight, &padded[..width], &mut sums);
        }
        let rows = self.tile.extents()[0];
        for (at, sums) in (row + AT..rows).zip(sums) {
            let bias = match self.start {
                Start::Bias(bias) => bias[at],
                _ => 0.0,
            };
            let bias = simd.splat_f32s(bias);
            let to = &mut self.tile.row(at)[col..col + count];
            let add = matches!(self.start, Start::Tile);
            if count == width {
                let to = S::as_mut_simd_f32s(to).0;
                for v in 0..V {
                    to[v] = simd.add_f32s(sums[v], if add { to[v] } else { bias });
                }
            } else {
                let mut whole = [0f32; WIDEST];
                if add {
                    whole[..count].copy_from_slice(to);
                }
                let vectors = S::as_mut_simd_f32s(&mut whole[..width]).0;
                for v in 0..V {
                    vectors[v] = simd.add_f32s(sums[v], if add { vectors[v] } else { bias });
                }
                to.copy_from_slice(&whole[..count]);
            }
        }
    }
}

/// `sums[r][v] += weight[AT + r] · row[v]`
#[inline(always)]
fn add<S: Simd, const R: usize, const V: usize, const AT: usize>(simd: S, weight: &[f32], row: &[f32], sums: &mut [[S::f32s; V]; R]) {
    let row: &[S::f32s; V] = S::as_simd_f32s(row).0.try_into().expect("the width of the vectors");
    let weight: &[f32; ROWS] = weight.try_into().expect("a block's rows");
    for r in 0..R {
        let weight = simd.splat_f32s(weight[AT + r]);
        for v in 0..V {
            sums[r][v] = simd.mul_add_e_f32s(weight, row[v], sums[r][v]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7 + 3) % 11) as f32 - 5.0).collect()
    }

    /// Small integers, so that every order of summation gives the same: rows that are no whole block, columns that are no whole vector
    /// and end where the slice does.
    #[test]
    fn products_equal_the_plain_sum() {
        let depth = 21;
        for (groups, rows, cols) in [(1, 1, 1), (2, 4, 15), (1, 5, 16), (3, 8, 17), (2, 9, 47), (1, 12, 48), (1, 17, 50), (2, 24, 131)] {
            let (w, x, bias) = (small(groups * rows * depth), small(depth * cols), small(rows));
            let packed = Packed::new(&w, rows, depth);
            let offsets: Vec<usize> = (0..depth).map(|k| k * cols).collect();
            for group in 0..groups {
                for (start, range) in
                    [(Start::Zero, 0..depth), (Start::Bias(&bias), 0..depth), (Start::Tile, 4..depth), (Start::Zero, 3..3)]
                {
                    let mut y = vec![2.0; rows * cols];
                    let offsets = &offsets[range.clone()];
                    let tile = &mut Tile::new(&mut y, rows, cols);
                    widest(Product { weight: &packed, group, first_row: 0, depth: range.clone(), columns: &x, offsets, start, tile });
                    for row in 0..rows {
                        let from = match start {
                            Start::Zero => 0.0,
                            Start::Bias(bias) => bias[row],
                            Start::Tile => 2.0,
                        };
                        for col in 0..cols {
                            let sum: f32 = range.clone().map(|k| w[(group * rows + row) * depth + k] * x[k * cols + col]).sum();
                            assert_eq!(y[row * cols + col], from + sum, "{rows}×{cols}, group {group}, [{row}, {col}]");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_tile_may_begin_at_any_block_of_rows() {
        let (rows, cols, depth) = (21, 19, 6);
        let (w, x) = (small(rows * depth), small(depth * cols));
        let packed = Packed::new(&w, rows, depth);
        let offsets: Vec<usize> = (0..depth).map(|k| k * cols).collect();
        let multiply = |first_row: usize, rows: usize| {
            let mut y = vec![0.0; rows * cols];
            let tile = &mut Tile::new(&mut y, rows, cols);
            let (weight, start) = (&packed, Start::Zero);
            widest(Product { weight, group: 0, first_row, depth: 0..depth, columns: &x, offsets: &offsets, start, tile });
            y
        };
        let all = multiply(0, rows);
        assert_eq!(multiply(8, 8), all[8 * cols..16 * cols]);
        assert_eq!(multiply(16, 5), all[16 * cols..]);
    }
}

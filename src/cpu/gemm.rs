//! The door to `gemm::gemm`, and the only unsafe code of the CPU device: every bound is checked here.

use std::marker::PhantomData;

/// A matrix of `f32` inside a slice, with any strides.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// How far the last element of a matrix lies from the first, plus one; `None` where that overflows.
fn reach(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Option<usize> {
    if rows == 0 || cols == 0 {
        return Some(0);
    }
    (rows - 1).checked_mul(row_stride)?.checked_add((cols - 1).checked_mul(col_stride)?)?.checked_add(1)
}

impl<'a> Matrix<'a> {
    /// `[rows, cols]` from the start of `data`, with strides in elements. Panics where it does not fit.
    pub(crate) fn new(data: &'a [f32], [rows, cols]: [usize; 2], [row_stride, col_stride]: [usize; 2]) -> Self {
        let fits = reach(rows, cols, row_stride, col_stride).is_some_and(|n| n <= data.len() && n <= isize::MAX as usize);
        assert!(fits, "a {rows}×{cols} matrix with strides {row_stride}, {col_stride} in {} elements", data.len());
        Self { data, rows, cols, row_stride, col_stride }
    }

    /// `[rows, cols]` with contiguous rows.
    pub(crate) fn dense(data: &'a [f32], [rows, cols]: [usize; 2]) -> Self {
        Self::new(data, [rows, cols], [cols, 1])
    }

    /// `count` rows from `first` on.
    pub(crate) fn rows(self, first: usize, count: usize) -> Self {
        let start = if count == 0 { 0 } else { first * self.row_stride };
        Self::new(&self.data[start..], [count, self.cols], [self.row_stride, self.col_stride])
    }

    /// `count` columns from `first` on.
    pub(crate) fn cols(self, first: usize, count: usize) -> Self {
        let start = if count == 0 { 0 } else { first * self.col_stride };
        Self::new(&self.data[start..], [self.rows, count], [self.row_stride, self.col_stride])
    }

    /// The transposed matrix, in place.
    pub(crate) fn transposed(self) -> Self {
        Self { data: self.data, rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    /// The extents `[rows, cols]`.
    pub(crate) fn extents(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// The strides `[row, column]` in elements.
    pub(crate) fn strides(&self) -> [usize; 2] {
        [self.row_stride, self.col_stride]
    }

    /// The elements from the first one on.
    pub(crate) fn data(&self) -> &'a [f32] {
        self.data
    }
}

/// A rectangle of a row-major matrix, exclusively borrowed: what one task writes.
pub(crate) struct Tile<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: a tile is an exclusive borrow of its elements, as `&mut [f32]` is, and tiles of one matrix never overlap.
unsafe impl Send for Tile<'_> {}

impl<'a> Tile<'a> {
    /// The whole of a dense matrix. Panics unless `data` has `rows · cols` elements.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(rows.checked_mul(cols), Some(data.len()), "a {rows}×{cols} matrix");
        Self { start: data.as_mut_ptr(), rows, cols, row_stride: cols, borrow: PhantomData }
    }

    /// Cuts the tile into tiles of at most `rows × cols`, row by row, with the row and column where each begins.
    pub(crate) fn grid(self, rows: usize, cols: usize) -> Vec<([usize; 2], Tile<'a>)> {
        let starts: Vec<usize> = (0..self.cols).step_by(cols).collect();
        self.cut(rows, &starts)
    }

    /// As [`Tile::grid`], with the columns where tiles begin given in rising order; the first is 0.
    pub(crate) fn cut(self, rows: usize, starts: &[usize]) -> Vec<([usize; 2], Tile<'a>)> {
        let ends = starts.iter().skip(1).chain([&self.cols]);
        assert!(
            starts.first().is_none_or(|&start| start == 0) && starts.iter().zip(ends.clone()).all(|(start, end)| start <= end),
            "{starts:?}"
        );
        let mut tiles = Vec::with_capacity(self.rows.div_ceil(rows) * starts.len());
        for row in (0..self.rows).step_by(rows) {
            for (&col, &end) in starts.iter().zip(ends.clone()) {
                let tile = Tile {
                    start: self.start.wrapping_add(row * self.row_stride + col),
                    rows: rows.min(self.rows - row),
                    cols: end - col,
                    row_stride: self.row_stride,
                    borrow: PhantomData,
                };
                tiles.push(([row, col], tile));
            }
        }
        tiles
    }

    /// The extents `[rows, cols]`.
    pub(crate) fn extents(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// One row.
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: the row lies inside the borrowed slice, which `new` and `grid` ensure, and the tile owns it exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.row_stride), self.cols) }
    }

    /// All elements, where the rows follow one another.
    pub(crate) fn dense(&mut self) -> Option<&mut [f32]> {
        // SAFETY: the rows lie inside the borrowed slice, nothing is between them, and the tile owns them exclusively.
        (self.cols == self.row_stride).then(|| unsafe { std::slice::from_raw_parts_mut(self.start, self.rows * self.cols) })
    }

    /// `self = alpha · a · b`, or `self += alpha · a · b`, on this thread.
    pub(crate) fn multiply(&mut self, a: Matrix<'_>, b: Matrix<'_>, alpha: f32, accumulate: bool) {
        assert!(
            a.rows == self.rows && b.cols == self.cols && a.cols == b.rows,
            "{:?} · {:?} into {:?}",
            a.extents(),
            b.extents(),
            self.extents()
        );
        if self.rows == 0 || self.cols == 0 {
            return;
        }
        // SAFETY: the constructors of `Matrix` and `Tile` have checked that every element addressed through the extents and
        // strides lies inside the borrowed slices, and the exclusive borrow of the tile excludes overlap with `a` and `b`.
        unsafe {
            gemm::gemm(
                self.rows,
                self.cols,
                a.cols,
                self.start,
                1,
                self.row_stride as isize,
                accumulate,
                a.data.as_ptr(),
                a.col_stride as isize,
                a.row_stride as isize,
                b.data.as_ptr(),
                b.col_stride as isize,
                b.row_stride as isize,
                1.0,
                alpha,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7 + 3) % 11) as f32 - 5.0).collect()
    }

    #[test]
    fn tiles_of_strided_products_equal_the_plain_sum() {
        let (m, n, k) = (13, 37, 19);
        let (a, b) = (counting(m * k), counting(n * k));
        let mut y = vec![1.0; m * n];
        let lhs = Matrix::dense(&a, [m, k]);
        let rhs = Matrix::dense(&b, [n, k]).transposed();
        for ([row, col], mut tile) in Tile::new(&mut y, m, n).grid(5, 16) {
            let [rows, cols] = tile.extents();
            tile.multiply(lhs.rows(row, rows), rhs.cols(col, cols), 2.0, true);
        }
        for i in 0..m {
            for j in 0..n {
                let sum: f32 = (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum();
                assert_eq!(y[i * n + j], 1.0 + 2.0 * sum);
            }
        }
    }

    #[test]
    #[should_panic(expected = "3×4 matrix")]
    fn a_matrix_beyond_its_slice_is_refused() {
        Matrix::new(&[0.0; 11], [3, 4], [4, 1]);
    }

    #[test]
    #[should_panic(expected = "into [2, 2]")]
    fn products_of_wrong_extents_are_refused() {
        let mut y = [0.0; 4];
        Tile::new(&mut y, 2, 2).multiply(Matrix::dense(&[0.0; 6], [2, 3]), Matrix::dense(&[0.0; 4], [2, 2]), 1.0, false);
    }
}

//! Arithmetic of two operands with broadcasting.

use super::cast::{from_integers, integers};
use super::rounded;
use crate::ops::{Binary, Comparison, Variadic, Where};
use crate::shape::Shape;
use crate::tensor::{Element, Tensor, for_each_dtype};

/// `y[i] = a[i] ∘ b[i]`, both read as if they had the shape that they broadcast to; integers wrap at their width.
pub(crate) fn binary(op: Binary, a: &Tensor, b: &Tensor) -> Tensor {
    let shape = a.shape().broadcast(b.shape()).expect("checked by the shape rule");
    let pairs = pairs(a.shape(), b.shape(), &shape);
    if let (Some(a_values), Some(b_values)) = (integers(a), integers(b)) {
        let bits = 8 * a.dtype().size() as i128;
        let values = pairs.map(|(i, j)| integer(op, a_values[i], b_values[j], bits)).collect();
        return from_integers(a.dtype(), &shape, values);
    }
    if op == Binary::Pow && a.dtype().is_integer() {
        return power_of_integers(a, b, &shape);
    }
    let (a_values, b_values) = (a.to_f64(), b.to_f64());
    let values = pairs.map(|(i, j)| real(op, a_values[i], b_values[j])).collect();
    rounded(a, shape, values)
}

/// `y[i] = a[i] ⋚ b[i]`, both read as if they had the shape that they broadcast to.
pub(crate) fn compare(op: Comparison, a: &Tensor, b: &Tensor) -> Tensor {
    fn holds<T: PartialOrd>(op: Comparison, a: T, b: T) -> bool {
        match op {
            Comparison::Equal => a == b,
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Greater => a > b,
            Comparison::GreaterOrEqual => a >= b,
        }
    }
    let shape = a.shape().broadcast(b.shape()).expect("checked by the shape rule");
    let pairs = pairs(a.shape(), b.shape(), &shape);
    let truth: Vec<bool> = match (integers(a), integers(b)) {
        (Some(a), Some(b)) => pairs.map(|(i, j)| holds(op, a[i], b[j])).collect(),
        _ => {
            let (a, b) = (a.to_f64(), b.to_f64());
            pairs.map(|(i, j)| holds(op, a[i], b[j])).collect()
        }
    };
    Tensor::of(shape, truth)
}

/// `y[i] = Σ x_n[i]` and its kin over all operands, read as if they had the shape that they broadcast to.
pub(crate) fn variadic(op: Variadic, operands: &[&Tensor]) -> Tensor {
    let common = |shape: Shape, x: &&Tensor| shape.broadcast(x.shape()).expect("checked by the shape rule");
    let shape = operands.iter().fold(Shape::scalar(), common);
    let step = match op {
        Variadic::Max => Binary::Max,
        Variadic::Min => Binary::Min,
        Variadic::Sum | Variadic::Mean => Binary::Add,
    };
    let first = operands[0];
    let read = |x: &Tensor| pairs(x.shape(), x.shape(), &shape).map(|(i, _)| i).collect::<Vec<_>>();
    if let Some(all) = operands.iter().map(|x| integers(x)).collect::<Option<Vec<_>>>() {
        let mut total: Vec<i128> = read(first).into_iter().map(|i| all[0][i]).collect();
        for (x, values) in operands.iter().zip(&all).skip(1) {
            total.iter_mut().zip(read(x)).for_each(|(t, i)| *t = integer(step, *t, values[i], 128));
        }
        return from_integers(first.dtype(), &shape, total);
    }
    let values = first.to_f64();
    let mut total: Vec<f64> = read(first).into_iter().map(|i| values[i]).collect();
    for x in &operands[1..] {
        let values = x.to_f64();
        total.iter_mut().zip(read(x)).for_each(|(t, i)| *t = real(step, *t, values[i]));
    }
    if op == Variadic::Mean {
        total.iter_mut().for_each(|t| *t /= operands.len() as f64);
    }
    rounded(first, shape, total)
}

/// `y[i] = a[i]` where `condition[i]`, else `b[i]`, all read as if they had the shape that they broadcast to.
pub(crate) fn select(condition: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
    fn choose<T: Element>(chosen: impl Iterator<Item = (bool, usize, usize)>, a: &[T], b: &Tensor, shape: &Shape) -> Tensor {
        let b = b.data::<T>().expect("checked by the shape rule");
        Tensor::of(shape, chosen.map(|(first, i, j)| if first { a[i] } else { b[j] }).collect())
    }
    let shape = Where::shape(condition.shape(), a.shape(), b.shape()).expect("checked by the shape rule");
    let truth = condition.data::<bool>().expect("checked by the shape rule");
    let truth = pairs(condition.shape(), condition.shape(), &shape).map(|(i, _)| truth[i]);
    let chosen = truth.zip(pairs(a.shape(), b.shape(), &shape)).map(|(first, (i, j))| (first, i, j));
    for_each_dtype!(a.data_ref(), a => choose(chosen, a, b, &shape))
}

/// `y[i] = ¬x[i]`, bit by bit; of truth values the other one.
pub(crate) fn not(x: &Tensor) -> Tensor {
    let ones = from_integers(x.dtype(), &Shape::scalar(), vec![-1]);
    binary(Binary::BitwiseXor, x, &ones)
}

/// For each element of `shape`, where two operands that broadcast to it are read.
pub(super) fn pairs(a: &Shape, b: &Shape, shape: &Shape) -> impl Iterator<Item = (usize, usize)> {
    let (dims, a_strides, b_strides) = (shape.to_vec(), a.broadcast_strides(shape), b.broadcast_strides(shape));
    (0..shape.elements()).map(move |mut rest| {
        let mut at = (0, 0);
        for axis in (0..dims.len()).rev() {
            let coordinate = rest % dims[axis];
            rest /= dims[axis];
            at.0 += coordinate * a_strides[axis];
            at.1 += coordinate * b_strides[axis];
        }
        at
    })
}

fn real(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
        Binary::Mod { fmod: true } => a % b,
        Binary::Mod { fmod: false } => {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
        }
        Binary::Max if b > a || b.is_nan() => b,
        Binary::Min if b < a || b.is_nan() => b,
        Binary::Max | Binary::Min => a,
        // The rest is for integers.
        _ => a + b,
    }
}

/// What is divided by 0 is 0, as in NumPy. `bits` is the width of the operands' type.
fn integer(op: Binary, a: i128, b: i128, bits: i128) -> i128 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => a.checked_div(b).unwrap_or(0),
        Binary::Pow => integer_power(a, b),
        Binary::Mod { fmod } => {
            let rest = a.checked_rem(b).unwrap_or(0);
            if !fmod && rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
        }
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::And | Binary::BitwiseAnd => a & b,
        Binary::Or | Binary::BitwiseOr => a | b,
        Binary::Xor | Binary::BitwiseXor => a ^ b,
        Binary::ShiftLeft | Binary::ShiftRight if b >= bits => 0,
        Binary::ShiftLeft => a << b,
        Binary::ShiftRight => a >> b,
    }
}

/// Integers to powers that need not be whole: those that are wrap, the others are truncated and saturated.
fn power_of_integers(a: &Tensor, b: &Tensor, shape: &Shape) -> Tensor {
    let convert = |dtype, values: Vec<f64>| Tensor::from_f64(dtype, [values.len()], values).expect("one value an element");
    let (bases, exponents) = (integers(a).unwrap_or_default(), b.to_f64());
    let whole = convert(a.dtype(), exponents.clone());
    let is_whole: Vec<bool> = whole.to_f64().iter().zip(&exponents).map(|(whole, exponent)| whole == exponent).collect();
    let whole = integers(&whole).unwrap_or_default();
    let powers = pairs(a.shape(), b.shape(), shape).map(|(i, j)| (bases[i] as f64).powf(exponents[j])).collect();
    let powers = integers(&convert(a.dtype(), powers)).unwrap_or_default();
    let choose = |((i, j), power)| if is_whole[j] { integer_power(bases[i], whole[j]) } else { power };
    from_integers(a.dtype(), shape, pairs(a.shape(), b.shape(), shape).zip(powers).map(choose).collect())
}

/// By squaring; negative exponents truncate toward zero as a division would, and 0 to them is 0.
fn integer_power(base: i128, exponent: i128) -> i128 {
    if exponent < 0 {
        return match base {
            1 => 1,
            -1 if exponent % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        };
    }
    let (mut result, mut square, mut left) = (1i128, base, exponent);
    while left > 0 {
        if left % 2 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        left /= 2;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(shape: impl Into<Shape>, values: &[f32]) -> Tensor {
        Tensor::new(shape, values.to_vec()).unwrap()
    }

    #[test]
    fn operands_broadcast_both_ways() {
        let (column, row) = (floats([2, 1], &[10.0, 20.0]), floats([3], &[1.0, 2.0, 3.0]));
        assert_eq!(binary(Binary::Add, &column, &row), floats([2, 3], &[11.0, 12.0, 13.0, 21.0, 22.0, 23.0]));
        assert_eq!(binary(Binary::Sub, &row, &column), floats([2, 3], &[-9.0, -8.0, -7.0, -19.0, -18.0, -17.0]));
        let channels = floats([2, 1, 1], &[2.0, 3.0]);
        let maps = floats([1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(binary(Binary::Mul, &maps, &channels), floats([1, 2, 1, 2], &[2.0, 4.0, 9.0, 12.0]));
    }

    #[test]
    fn integers_divide_toward_zero_and_wrap() {
        let of = |v: &[i32]| Tensor::vector(v.to_vec());
        assert_eq!(binary(Binary::Div, &of(&[7, -7, 7, i32::MIN]), &of(&[2, 2, -2, -1])), of(&[3, -3, -3, i32::MIN]));
        assert_eq!(binary(Binary::Add, &of(&[i32::MAX]), &of(&[1])), of(&[i32::MIN]));
        let bytes = |v: &[u8]| Tensor::vector(v.to_vec());
        assert_eq!(binary(Binary::Sub, &bytes(&[3]), &bytes(&[5])), bytes(&[254]));
        assert_eq!(binary(Binary::Div, &of(&[7, -7, 0]), &of(&[0])), of(&[0, 0, 0]));
    }

    #[test]
    fn powers_of_negative_bases_and_zero() {
        let of = |v: &[f32]| Tensor::vector(v.to_vec());
        let power = binary(Binary::Pow, &of(&[-2.0, -2.0, 0.0, 0.0, 9.0, f32::NAN]), &of(&[3.0, -2.0, 0.0, 2.0, 0.5, 0.0]));
        assert_eq!(power, of(&[-8.0, 0.25, 1.0, 0.0, 3.0, 1.0]));
        assert!(binary(Binary::Pow, &of(&[-8.0]), &of(&[1.0 / 3.0])).data::<f32>().unwrap()[0].is_nan());
    }

    #[test]
    fn powers_mix_types_and_keep_the_base_s() {
        let bases = Tensor::vector(vec![2i64, -3, 2, -1, 10]);
        let power = binary(Binary::Pow, &bases, &Tensor::vector(vec![10i32, 3, -1, -3, 18]));
        assert_eq!(power, Tensor::vector(vec![1024i64, -27, 0, -1, 1_000_000_000_000_000_000]));
        assert_eq!(binary(Binary::Pow, &bases, &Tensor::scalar(0.5f32)).data::<i64>().unwrap()[4], 3);
        assert_eq!(binary(Binary::Pow, &Tensor::scalar(1.5f32), &Tensor::scalar(2i64)), Tensor::scalar(2.25f32));
        assert_eq!(binary(Binary::Pow, &Tensor::vector(vec![2i8, 10]), &Tensor::scalar(3f32)), Tensor::vector(vec![8i8, -24]));
        assert_eq!(binary(Binary::Pow, &Tensor::scalar(0i32), &Tensor::scalar(-1i32)), Tensor::scalar(0i32));
    }

    #[test]
    fn remainders_have_the_sign_of_one_operand() {
        let of = |v: &[i32]| Tensor::vector(v.to_vec());
        let (a, b) = (of(&[7, -7, 7, -7, 6, 5]), of(&[3, 3, -3, -3, 3, 0]));
        assert_eq!(binary(Binary::Mod { fmod: false }, &a, &b), of(&[1, 2, -2, -1, 0, 0]));
        assert_eq!(binary(Binary::Mod { fmod: true }, &a, &b), of(&[1, -1, 1, -1, 0, 0]));
        let floats = |v: &[f32]| Tensor::vector(v.to_vec());
        let (a, b) = (floats(&[5.5, -5.5, 5.5, 1e20]), floats(&[2.0, 2.0, -2.0, 3.0]));
        assert_eq!(binary(Binary::Mod { fmod: false }, &a, &b), floats(&[1.5, 0.5, -0.5, 2.0]));
        assert_eq!(binary(Binary::Mod { fmod: true }, &a, &b), floats(&[1.5, -1.5, 1.5, 2.0]));
    }

    #[test]
    fn bits_shift_and_combine() {
        let of = |v: &[u8]| Tensor::vector(v.to_vec());
        assert_eq!(binary(Binary::ShiftLeft, &of(&[16, 200, 1, 1]), &of(&[1, 1, 8, 255])), of(&[32, 144, 0, 0]));
        assert_eq!(binary(Binary::ShiftRight, &of(&[16, 200, 1, 1]), &of(&[1, 3, 8, 255])), of(&[8, 25, 0, 0]));
        assert_eq!(binary(Binary::BitwiseAnd, &of(&[12]), &of(&[10])), of(&[8]));
        assert_eq!(binary(Binary::BitwiseOr, &of(&[12]), &of(&[10])), of(&[14]));
        assert_eq!(binary(Binary::BitwiseXor, &of(&[12]), &of(&[10])), of(&[6]));
        let truth = |v: &[bool]| Tensor::vector(v.to_vec());
        let (a, b) = (truth(&[false, false, true, true]), truth(&[false, true, false, true]));
        assert_eq!(binary(Binary::And, &a, &b), truth(&[false, false, false, true]));
        assert_eq!(binary(Binary::Or, &a, &b), truth(&[false, true, true, true]));
        assert_eq!(binary(Binary::Xor, &a, &b), truth(&[false, true, true, false]));
    }

    #[test]
    fn nan_is_the_largest_and_the_smallest_and_equals_nothing() {
        let (a, b) = (floats([3], &[f32::NAN, 1.0, 2.0]), floats([3], &[1.0, f32::NAN, 5.0]));
        for op in [Binary::Max, Binary::Min] {
            let y = binary(op, &a, &b).to_f64();
            assert!(y[0].is_nan() && y[1].is_nan() && !y[2].is_nan());
        }
        let truth = |op| compare(op, &a, &b).data::<bool>().unwrap().to_vec();
        assert_eq!(truth(Comparison::Equal), [false; 3]);
        assert_eq!(truth(Comparison::LessOrEqual), [false, false, true]);
        assert_eq!(truth(Comparison::Greater), [false; 3]);
        assert_eq!(compare(Comparison::GreaterOrEqual, &Tensor::scalar(u64::MAX), &Tensor::scalar(u64::MAX - 1)), Tensor::scalar(true));
    }

    #[test]
    fn many_operands_reduce_to_one() {
        let (column, row) = (floats([2, 1], &[10.0, 20.0]), floats([3], &[1.0, 2.0, 30.0]));
        let scalar = Tensor::scalar(2.5f32);
        assert_eq!(variadic(Variadic::Max, &[&row, &column, &scalar]), floats([2, 3], &[10.0, 10.0, 30.0, 20.0, 20.0, 30.0]));
        assert_eq!(variadic(Variadic::Min, &[&row, &scalar]), floats([3], &[1.0, 2.0, 2.5]));
        assert_eq!(variadic(Variadic::Sum, &[&row, &row, &scalar]), floats([3], &[4.5, 6.5, 62.5]));
        assert_eq!(variadic(Variadic::Mean, &[&row, &scalar]), floats([3], &[1.75, 2.25, 16.25]));
        assert_eq!(variadic(Variadic::Min, &[&Tensor::scalar(3i8), &Tensor::scalar(-3i8)]), Tensor::scalar(-3i8));
    }

    #[test]
    fn bits_and_truth_turn_round() {
        assert_eq!(not(&Tensor::vector(vec![true, false])), Tensor::vector(vec![false, true]));
        assert_eq!(not(&Tensor::vector(vec![0u16, 0xf0f0])), Tensor::vector(vec![0xffffu16, 0x0f0f]));
        assert_eq!(not(&Tensor::vector(vec![0i64, -5])), Tensor::vector(vec![-1i64, 4]));
    }

    #[test]
    fn conditions_choose() {
        let condition = Tensor::new([2, 1], vec![true, false]).unwrap();
        let (a, b) = (Tensor::vector(vec![1i64, 2]), Tensor::scalar(9i64));
        assert_eq!(select(&condition, &a, &b), Tensor::new([2, 2], vec![1i64, 2, 9, 9]).unwrap());
    }
}

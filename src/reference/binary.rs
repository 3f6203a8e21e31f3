//! Arithmetic of two operands with broadcasting.

use super::cast::{from_integers, integers};
use super::rounded;
use crate::error::OpError;
use crate::ops::Binary;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `y[i] = a[i] ∘ b[i]`, both read as if they had the shape that they broadcast to; integers wrap at their width.
pub(crate) fn binary(op: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor, OpError> {
    let shape = a.shape().broadcast(b.shape()).expect("checked by the shape rule");
    if let (Some(a_values), Some(b_values)) = (integers(a), integers(b)) {
        let values: Result<Vec<_>, _> = pairs(a.shape(), b.shape(), &shape).map(|(i, j)| integer(op, a_values[i], b_values[j])).collect();
        return Ok(from_integers(a.dtype(), &shape, values?));
    }
    let (a_values, b_values) = (a.to_f64(), b.to_f64());
    let values = pairs(a.shape(), b.shape(), &shape).map(|(i, j)| real(op, a_values[i], b_values[j])).collect();
    Ok(rounded(a, shape, values))
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
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
    }
}

fn integer(op: Binary, a: i128, b: i128) -> Result<i128, OpError> {
    Ok(match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => a.checked_div(b).ok_or_else(|| OpError::invalid(format!("integer division of {a} by 0")))?,
        Binary::Pow => integer_power(a, b)?,
    })
}

/// By squaring; negative exponents truncate toward zero as a division would.
fn integer_power(base: i128, exponent: i128) -> Result<i128, OpError> {
    if exponent < 0 {
        return match base {
            0 => Err(OpError::invalid(format!("integer power of 0 to {exponent}"))),
            1 => Ok(1),
            -1 => Ok(if exponent % 2 == 0 { 1 } else { -1 }),
            _ => Ok(0),
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
    Ok(result)
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
        assert_eq!(binary(Binary::Add, &column, &row).unwrap(), floats([2, 3], &[11.0, 12.0, 13.0, 21.0, 22.0, 23.0]));
        assert_eq!(binary(Binary::Sub, &row, &column).unwrap(), floats([2, 3], &[-9.0, -8.0, -7.0, -19.0, -18.0, -17.0]));
        let channels = floats([2, 1, 1], &[2.0, 3.0]);
        let maps = floats([1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(binary(Binary::Mul, &maps, &channels).unwrap(), floats([1, 2, 1, 2], &[2.0, 4.0, 9.0, 12.0]));
    }

    #[test]
    fn integers_divide_toward_zero_and_wrap() {
        let of = |v: &[i32]| Tensor::vector(v.to_vec());
        assert_eq!(binary(Binary::Div, &of(&[7, -7, 7, i32::MIN]), &of(&[2, 2, -2, -1])).unwrap(), of(&[3, -3, -3, i32::MIN]));
        assert_eq!(binary(Binary::Add, &of(&[i32::MAX]), &of(&[1])).unwrap(), of(&[i32::MIN]));
        let bytes = |v: &[u8]| Tensor::vector(v.to_vec());
        assert_eq!(binary(Binary::Sub, &bytes(&[3]), &bytes(&[5])).unwrap(), bytes(&[254]));
        let error = binary(Binary::Div, &of(&[7]), &of(&[0])).unwrap_err().to_string();
        assert!(error.contains("division of 7 by 0"), "{error}");
    }

    #[test]
    fn powers_of_negative_bases_and_zero() {
        let of = |v: &[f32]| Tensor::vector(v.to_vec());
        let power = binary(Binary::Pow, &of(&[-2.0, -2.0, 0.0, 0.0, 9.0, f32::NAN]), &of(&[3.0, -2.0, 0.0, 2.0, 0.5, 0.0])).unwrap();
        assert_eq!(power, of(&[-8.0, 0.25, 1.0, 0.0, 3.0, 1.0]));
        assert!(binary(Binary::Pow, &of(&[-8.0]), &of(&[1.0 / 3.0])).unwrap().data::<f32>().unwrap()[0].is_nan());
    }

    #[test]
    fn powers_mix_types_and_keep_the_base_s() {
        let bases = Tensor::vector(vec![2i64, -3, 2, -1, 10]);
        let power = binary(Binary::Pow, &bases, &Tensor::vector(vec![10i32, 3, -1, -3, 18])).unwrap();
        assert_eq!(power, Tensor::vector(vec![1024i64, -27, 0, -1, 1_000_000_000_000_000_000]));
        assert_eq!(binary(Binary::Pow, &bases, &Tensor::scalar(0.5f32)).unwrap().data::<i64>().unwrap()[4], 3);
        assert_eq!(binary(Binary::Pow, &Tensor::scalar(1.5f32), &Tensor::scalar(2i64)).unwrap(), Tensor::scalar(2.25f32));
        assert!(binary(Binary::Pow, &Tensor::scalar(0i32), &Tensor::scalar(-1i32)).is_err());
    }
}

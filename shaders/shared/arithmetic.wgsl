// Functions of two elements: `operation` picks one. The numbers are `Binary::code`'s.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

/// x to the power y as IEEE 754's powr does not but its pow does: negative x with whole y, pow(x, 0) = pow(1, y) = 1.
///
/// Whole exponents up to 32 by squaring, so that squares and cubes are as exact as products; the rest through logarithms.
fn power(x: f32, y: f32) -> f32 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    // NaN first, by its bits: every comparison below would take it for a number.
    if is_nan(x) || is_nan(y) {
        return x + y;
    }
    let n = abs(y);
    let whole = y == floor(y);
    if whole && n <= 32.0 {
        var result = 1.0;
        var square = x;
        for (var left = u32(n); left > 0u; left >>= 1u) {
            if (left & 1u) == 1u {
                result *= square;
            }
            square *= square;
        }
        return select(result, 1.0 / result, y < 0.0);
    }
    let a = abs(x);
    if a == 0.0 {
        return select(a, 1.0 / a, y < 0.0);
    }
    // A finite negative number has no real root: NaN, made from its bits because WGSL has no literal for it.
    if x < 0.0 && !whole && bitcast<u32>(a) < 0x7f800000u {
        return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u);
    }
    let magnitude = select(exp2(y * log2(a)), 1.0, a == 1.0);
    // Beyond 2^24 every f32 is even.
    let odd = n < 16777216.0 && (u32(n) & 1u) == 1u;
    return select(magnitude, -magnitude, x < 0.0 && odd);
}

/// The remainder of x / y, truncated, exact: the divisor, doubled to the size of what is left, is taken away until that is smaller.
fn remainder(x: f32, y: f32) -> f32 {
    if is_nan(x) || is_nan(y) {
        return x + y;
    }
    let divisor = abs(y);
    var left = abs(x);
    // No remainder of inf or by 0, for which a device may take a subnormal number.
    if bitcast<u32>(left) >= 0x7f800000u || divisor < 1.1754944e-38 {
        return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u);
    }
    while left >= divisor {
        let exponents = (bitcast<u32>(left) & 0x7f800000u) - (bitcast<u32>(divisor) & 0x7f800000u);
        let multiple = bitcast<f32>(bitcast<u32>(divisor) + exponents);
        left -= select(multiple, 0.5 * multiple, multiple > left);
    }
    return select(left, -left, x < 0.0);
}

/// The remainder with the sign of the divisor.
fn floored_remainder(x: f32, y: f32) -> f32 {
    let rest = remainder(x, y);
    return select(rest, rest + y, rest != 0.0 && (rest < 0.0) != (y < 0.0));
}

/// Powers, quotients and remainders are for floats; PRelu is Parametric ReLU, b the slope. Maximum and minimum of NaN are NaN.
fn combine(operation: u32, a: Accumulator4, b: Accumulator4) -> Accumulator4 {
    let x = vec4<f32>(a);
    let y = vec4<f32>(b);
    switch operation {
        case 0u: { return a + b; }
        case 1u: { return a - b; }
        case 2u: { return a * b; }
        case 3u: { return a / b; }
        case 4u: { return Accumulator4(vec4<f32>(power(x.x, y.x), power(x.y, y.y), power(x.z, y.z), power(x.w, y.w))); }
        case 5u: { return select(a, a * b, a < Accumulator4()); }
        case 6u: { return select(a, b, !(b <= a) & (a == a)); }
        case 7u: { return select(a, b, !(b >= a) & (a == a)); }
        case 8u: {
            return Accumulator4(vec4<f32>(remainder(x.x, y.x), remainder(x.y, y.y), remainder(x.z, y.z), remainder(x.w, y.w)));
        }
        default: {
            return Accumulator4(vec4<f32>(
                floored_remainder(x.x, y.x), floored_remainder(x.y, y.y), floored_remainder(x.z, y.z), floored_remainder(x.w, y.w)
            ));
        }
    }
}

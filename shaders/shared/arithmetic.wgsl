// Functions of two elements: OPERATION picks one. The numbers are `Binary::code`'s.

override OPERATION: u32;

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

/// For integers the host asks for no power; PRelu is Parametric ReLU, b the slope.
fn combine(a: Accumulator4, b: Accumulator4) -> Accumulator4 {
    switch OPERATION {
        case 0u: { return a + b; }
        case 1u: { return a - b; }
        case 2u: { return a * b; }
        case 3u: { return a / b; }
        case 4u: {
            let x = vec4<f32>(a);
            let y = vec4<f32>(b);
            return Accumulator4(vec4<f32>(power(x.x, y.x), power(x.y, y.y), power(x.z, y.z), power(x.w, y.w)));
        }
        default: { return select(a, a * b, a < Accumulator4()); }
    }
}

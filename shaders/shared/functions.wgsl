// Functions of one element beyond those of activation.wgsl: `code` picks one. The numbers are `Unary::code`'s.
// NaN goes through all of them as through the reference. Series: NIST DLMF 4.6, 4.19, 4.24, 4.33.

/// NaN, made from the bits of x because WGSL has no literal for it.
fn undefined(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u);
}

/// The natural logarithm, to a few units in the last place: WGSL grants its own an absolute error near 1.
///
/// x = 2^k m with m near 1, log m = 2 artanh((m - 1) / (m + 1)).
fn logarithm(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    if bits == 0u || bits == 0x80000000u {
        // -inf, made from its bits because WGSL has no literal for it.
        return bitcast<f32>(bits | 0xff800000u);
    }
    if bits >= 0x7f800000u {
        return select(undefined(x), x, bits == 0x7f800000u);
    }
    // Subnormal numbers.
    if bits < 0x00800000u {
        return log(x);
    }
    let mantissa = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
    let large = mantissa > 1.41421356;
    let m = select(mantissa, 0.5 * mantissa, large);
    let k = f32(i32(bits >> 23u) - select(127, 126, large));
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    // ln 2 in two parts, the first of few bits.
    return k * 0.693359375 + (k * -2.12194440e-4
        + 2.0 * s * (1.0 + s2 * (0.3333333333 + s2 * (0.2 + s2 * (0.1428571429 + s2 * 0.1111111111)))));
}

/// log(1 + x) for x >= 0 that keeps the digits of small x; NaN below -1.
fn log_one_plus(x: f32) -> f32 {
    if x < 1.0 && x >= 0.0 {
        let s = x / (2.0 + x);
        let s2 = s * s;
        return 2.0 * s * (1.0 + s2 * (0.3333333333 + s2 * (0.2 + s2 * (0.1428571429
            + s2 * (0.1111111111 + s2 * (0.0909090909 + s2 * 0.0769230769))))));
    }
    return logarithm(1.0 + x);
}

/// sin(x) for quarter 0, cos(x) for quarter 1: to a few units of 6e-8 up to |x| = 10^4, beyond that as the device has it.
fn sine(x: f32, quarter: u32) -> f32 {
    if (bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u {
        return undefined(x);
    }
    if abs(x) > 10000.0 {
        return select(cos(x), sin(x), quarter == 0u);
    }
    // pi / 2 in three parts, the first two of few bits, so that their products with n are exact.
    let n = round(x * 0.6366197724);
    let r = ((x - n * 1.5703125) - n * 4.837512969970703e-4) - n * 7.549789954891882e-8;
    let r2 = r * r;
    let odd = r * (1.0 + r2 * (-0.1666666667 + r2 * (0.0083333333 + r2 * (-0.0001984127 + r2 * 0.0000027557))));
    let even = 1.0 + r2 * (-0.5 + r2 * (0.0416666667 + r2 * (-0.0013888889 + r2 * (0.0000248016 + r2 * -0.0000002756))));
    let turn = u32(i32(n)) + quarter;
    let value = select(odd, even, (turn & 1u) == 1u);
    return select(value, -value, (turn & 2u) == 2u);
}

/// The angle of the point (x, y) with x, y >= 0, from its nearest multiple of pi / 8: the Taylor series of the arctangent.
fn angle(y: f32, x: f32) -> f32 {
    var ratio = y / x;
    var offset = 0.0;
    if y > 2.41421356 * x {
        ratio = -x / y;
        offset = 1.5707963268;
    } else if y > 0.41421356 * x {
        ratio = (y - x) / (y + x);
        offset = 0.7853981634;
    }
    let z = ratio * ratio;
    return offset + ratio * (1.0 + z * (-0.3333333333 + z * (0.2 + z * (-0.1428571429 + z * (0.1111111111
        + z * (-0.0909090909 + z * (0.0769230769 + z * (-0.0666666667 + z * 0.0588235294))))))));
}

/// magnitude with the sign of x, NaN where x is.
fn signed(x: f32, magnitude: f32) -> f32 {
    return select(magnitude, -magnitude, x < 0.0);
}

fn sinh_stable(x: f32) -> f32 {
    let a = abs(x);
    if a < 1.0 {
        let x2 = x * x;
        return x * (1.0 + x2 * (0.1666666667 + x2 * (0.0083333333 + x2 * (0.0001984127 + x2 * 0.0000027557))));
    }
    let h = exp(0.5 * a);
    return signed(x, 0.5 * h * h - 0.5 / h / h);
}

fn asinh_stable(x: f32) -> f32 {
    let a = abs(x);
    // Beyond this the square would overflow, and log(2a) is exact.
    if a > 8192.0 {
        return signed(x, logarithm(a) + 0.6931471806);
    }
    return signed(x, log_one_plus(a + a * a / (1.0 + sqrt(1.0 + a * a))));
}

fn acosh_stable(x: f32) -> f32 {
    if !(x >= 1.0) {
        return undefined(x);
    }
    if x > 8192.0 {
        return logarithm(x) + 0.6931471806;
    }
    let a = x - 1.0;
    return log_one_plus(a + sqrt(a * (a + 2.0)));
}

/// log(1 + exp(x)), in which nothing overflows.
fn softplus(x: f32) -> f32 {
    return relu(x) + log_one_plus(exp(-abs(x)));
}

fn function(code: u32, x: f32, alpha: f32, beta: f32) -> f32 {
    switch code {
        case 13u: { return abs(x); }
        case 14u: { return -x; }
        // NaN and the zeros pass.
        case 15u: { return select(select(x, 1.0, x > 0.0), -1.0, x < 0.0); }
        case 16u: { return ceil(x); }
        case 17u: { return floor(x); }
        case 18u: { return round(x); }
        case 19u: { return 1.0 / x; }
        case 20u: { return logarithm(x); }
        case 21u: { return sine(x, 0u); }
        case 22u: { return sine(x, 1u); }
        case 23u: { return sine(x, 0u) / sine(x, 1u); }
        case 24u: { return signed(x, angle(abs(x), sqrt((1.0 - x) * (1.0 + x)))); }
        case 25u: { return 2.0 * angle(sqrt(1.0 - x), sqrt(1.0 + x)); }
        case 26u: { return signed(x, angle(abs(x), 1.0)); }
        case 27u: { return sinh_stable(x); }
        case 28u: {
            // The square of exp(|x| / 2), which overflows later than exp(|x|).
            let h = exp(0.5 * abs(x));
            return 0.5 * h * h + 0.5 / h / h;
        }
        case 29u: { return asinh_stable(x); }
        case 30u: { return acosh_stable(x); }
        case 31u: { return signed(x, 0.5 * log_one_plus(2.0 * abs(x) / (1.0 - abs(x)))); }
        case 33u: { return select(x, alpha * exp_minus_one(x / alpha), x < 0.0); }
        case 34u: { return softplus(x); }
        case 35u: { return x / (1.0 + abs(x)); }
        case 38u: { return select(select(0.0, x - beta, x > alpha), x + beta, x < -alpha); }
        case 39u: { return select(0.0, x, x > alpha); }
        case 40u: { return alpha * x + beta; }
        case 41u: { return alpha * tanh_stable(beta * x); }
        case 42u: { return alpha * softplus(beta * x); }
        default: { return activate(code, x, alpha, beta); }
    }
}

// Functions of one element: ACTIVATION picks one, alpha and beta are its attributes. The numbers are `Unary::code`'s.

override ACTIVATION: u32;

/// erf with an error below 1.5e-7: Abramowitz and Stegun, 7.1.26; odd Taylor terms near 0, where that cancels.
fn erf(x: f32) -> f32 {
    let a = abs(x);
    if a < 0.125 {
        let x2 = x * x;
        return x * (1.1283791671 + x2 * (-0.3761263890 + x2 * (0.1128379167 + x2 * -0.0268661706)));
    }
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - series * exp(-a * a));
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

/// tanh that neither overflows nor, near 0, cancels.
fn tanh_stable(x: f32) -> f32 {
    let a = abs(x);
    if a < 0.05 {
        let x2 = x * x;
        return x * (1.0 + x2 * (-0.3333333333 + x2 * 0.1333333333));
    }
    let e = exp(-2.0 * a);
    return sign(x) * (1.0 - e) / (1.0 + e);
}

/// max and min that pass NaN on, as the reference does; the built-ins need not.
fn relu(x: f32) -> f32 {
    return select(x, 0.0, x < 0.0);
}

fn clamp_nan(x: f32, low: f32, high: f32) -> f32 {
    return select(select(x, high, x > high), low, x < low);
}

fn activate(x: f32, alpha: f32, beta: f32) -> f32 {
    switch ACTIVATION {
        case 1u: { return relu(x); }
        case 2u: { return select(x, alpha * x, x < 0.0); }
        case 3u: { return sigmoid(x); }
        case 4u: { return clamp_nan(alpha * x + beta, 0.0, 1.0); }
        case 5u: { return x * clamp_nan(x / 6.0 + 0.5, 0.0, 1.0); }
        case 6u: { return tanh_stable(x); }
        case 7u: { return erf(x); }
        case 8u: { return 0.5 * x * (1.0 + erf(x * 0.7071067812)); }
        case 9u: { return 0.5 * x * (1.0 + tanh_stable(0.7978845608 * (x + 0.044715 * x * x * x))); }
        case 10u: { return exp(x); }
        case 11u: { return sqrt(x); }
        case 12u: { return clamp_nan(x, alpha, beta); }
        default: { return x; }
    }
}

// Functions of one element that other kernels may end with: `code` picks one, alpha and beta are its attributes. The numbers are
// `Unary::code`'s. NaN goes through all of them as through the reference: comparisons, where the built-in min, max and clamp need not.

/// erf near 0, |x| < 1/2: its Taylor series, NIST DLMF 7.6.1.
fn erf_near(x: f32) -> f32 {
    let x2 = x * x;
    return x * (1.1283791671 + x2 * (-0.3761263890 + x2 * (0.1128379167
        + x2 * (-0.0268661706 + x2 * (0.0052239776 + x2 * -0.0008548327)))));
}

/// erfc for x >= 1/2, to 6e-7 of itself: exp(-x^2) times a polynomial in t = 1 / (1 + 0.4 x) fitted on [1/2, 10.5].
fn erfc_far(x: f32) -> f32 {
    let a = select(x, 10.5, x > 10.5);
    let t = 1.0 / (1.0 + 0.4 * a);
    let p = 0.2256603909 + t * (0.2261452010 + t * (0.2023469045
        + t * (0.2012515311 + t * (0.0292417424 + t * (0.2245488557 + t * -0.1093267699)))));
    return exp(-a * a) * t * p;
}

fn erf(x: f32) -> f32 {
    let a = abs(x);
    if a < 0.5 {
        return erf_near(x);
    }
    return sign(x) * (1.0 - erfc_far(a));
}

/// 1 + erf(x) that does not cancel for negative x.
fn one_plus_erf(x: f32) -> f32 {
    let a = abs(x);
    if a < 0.5 {
        return 1.0 + erf_near(x);
    }
    let tail = erfc_far(a);
    return select(2.0 - tail, tail, x < 0.0);
}

/// The exponential of nothing positive, so that neither side overflows.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(1.0, e, x < 0.0) / (1.0 + e);
}

/// tanh that neither overflows nor, near 0, cancels.
fn tanh_stable(x: f32) -> f32 {
    let a = abs(x);
    if a < 0.125 {
        let x2 = x * x;
        return x * (1.0 + x2 * (-0.3333333333 + x2 * (0.1333333333 + x2 * -0.0539682540)));
    }
    let e = exp(-2.0 * a);
    return sign(x) * (1.0 - e) / (1.0 + e);
}

fn relu(x: f32) -> f32 {
    return select(x, 0.0, x < 0.0);
}

/// min(max(x, low), high): where low > high, high wins.
fn clamp_nan(x: f32, low: f32, high: f32) -> f32 {
    let raised = select(x, low, x < low);
    return select(raised, high, raised > high);
}

/// exp(x) - 1 that keeps the digits of small x.
fn exp_minus_one(x: f32) -> f32 {
    if abs(x) < 0.5 {
        return x * (1.0 + x * (0.5 + x * (0.1666666667 + x * (0.0416666667
            + x * (0.0083333333 + x * (0.0013888889 + x * 0.0001984127))))));
    }
    return exp(x) - 1.0;
}

/// tanh(softplus(x)) from one exponential of nothing positive.
fn tanh_softplus(x: f32) -> f32 {
    let e = exp(-abs(x));
    let above = 1.0 + 2.0 * e;
    let below = e * (e + 2.0);
    return select(above / (above + 2.0 * e * e), below / (below + 2.0), x < 0.0);
}

fn activate(code: u32, x: f32, alpha: f32, beta: f32) -> f32 {
    switch code {
        case 1u: { return relu(x); }
        case 2u: { return select(x, alpha * x, x < 0.0); }
        case 3u: { return sigmoid(x); }
        case 4u: { return clamp_nan(alpha * x + beta, 0.0, 1.0); }
        case 5u: { return x * clamp_nan(x / 6.0 + 0.5, 0.0, 1.0); }
        case 6u: { return tanh_stable(x); }
        case 7u: { return erf(x); }
        case 8u: { return 0.5 * x * one_plus_erf(x * 0.7071067812); }
        // (1 + tanh(u)) / 2 = sigmoid(2u), which does not cancel for negative u.
        case 9u: { return x * sigmoid(1.5957691216 * (x + 0.044715 * x * x * x)); }
        case 10u: { return exp(x); }
        case 11u: { return sqrt(x); }
        case 12u: { return clamp_nan(x, alpha, beta); }
        case 32u: { return beta * select(x, alpha * exp_minus_one(x), x < 0.0); }
        case 36u: { return x * tanh_softplus(x); }
        case 37u: { return x * sigmoid(alpha * x); }
        default: { return x; }
    }
}

use macula::ops::{GeluApproximation, Unary};

use crate::support::{case, random, to_f16};

const FUNCTIONS: &[Unary] = &[
    Unary::Relu,
    Unary::LeakyRelu { alpha: 0.1 },
    Unary::Sigmoid,
    Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
    Unary::HardSwish,
    Unary::Tanh,
    Unary::Erf,
    Unary::Gelu(GeluApproximation::None),
    Unary::Gelu(GeluApproximation::Tanh),
    Unary::Exp,
    Unary::Sqrt,
];

#[test]
fn unary_functions_on_odd_sizes() {
    for (seed, function) in FUNCTIONS.iter().enumerate() {
        let range = if *function == Unary::Sqrt { 0.0..9.0 } else { -6.0..6.0 };
        case(*function).runtime(random(seed as u64, [2, 3, 5, 7], range)).check();
    }
}

#[test]
fn unary_functions_in_half_precision() {
    for (seed, function) in FUNCTIONS.iter().enumerate() {
        let range = if *function == Unary::Sqrt { 0.0..9.0 } else { -6.0..6.0 };
        case(*function).runtime(to_f16(&random(seed as u64, [3, 5, 2], range))).check();
    }
}

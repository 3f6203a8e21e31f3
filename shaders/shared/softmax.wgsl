// Softmax and its logarithm, in f32 whatever the elements are.

override LOG: u32;

fn larger(a: f32, b: f32) -> f32 {
    return select(a, b, b > a);
}

/// One element's output, the row's maximum and its sum of exp(x - maximum) known. A row of -inf alone gives NaN.
fn normalized(x: f32, maximum: f32, sum: f32) -> f32 {
    if LOG == 1u {
        return x - maximum - log(sum);
    }
    return exp(x - maximum) / sum;
}

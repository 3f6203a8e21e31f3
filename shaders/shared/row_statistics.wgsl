// Mean and variance of the `elements` elements of `x` from `first` on, one workgroup together; needs `workgroup_sum` and
// the kernel's `x`. Corrected two-pass algorithm: T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the
// sample variance", The American Statistician 37 (1983), equation 1.7.

struct Statistics {
    shift: f32, // the mean as f32 holds it
    correction: f32, // what the mean is beyond it: large means leave too few digits for this
    variance: f32,
}

/// Elements an invocation adds before it adds their sum to its total, so that rounding stays small in long rows.
const BLOCK = 64u;

/// The means of x - shift and of its square.
fn row_moments(first: u32, elements: u32, shift: f32, local: u32) -> vec2<f32> {
    var moments = vec2<f32>(0.0);
    var i = local;
    while i < elements {
        let end = min(elements, i + BLOCK * WORKGROUP_SIZE);
        var block = vec2<f32>(0.0);
        for (; i < end; i += WORKGROUP_SIZE) {
            let d = f32(x[first + i]) - shift;
            block += vec2<f32>(d, d * d);
        }
        moments += block;
    }
    return workgroup_sum(moments, local) / f32(max(elements, 1u));
}

fn row_statistics(first: u32, elements: u32, local: u32) -> Statistics {
    let count = f32(max(elements, 1u));
    var sum = 0.0;
    var i = local;
    while i < elements {
        let end = min(elements, i + BLOCK * WORKGROUP_SIZE);
        var block = 0.0;
        for (; i < end; i += WORKGROUP_SIZE) {
            block += f32(x[first + i]);
        }
        sum += block;
    }
    let shift = workgroup_sum(vec2<f32>(sum, 0.0), local).x / count;
    let moments = row_moments(first, elements, shift, local);
    return Statistics(shift, moments.x, max(moments.y - moments.x * moments.x, 0.0));
}

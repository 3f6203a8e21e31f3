// y[i] = a[Σ_k c_k * a_strides_k] ∘ b[Σ_k c_k * b_strides_k] for integers, c the coordinates of i in `extents`
//
// Layout: y dense; a, b and `Params` as shared/pairs.wgsl has them. One invocation owns four neighbouring elements of y and
// steps along the innermost axis, so a workgroup's loads along that axis are side by side.
// Overrides: OPERATION: 0 quotient toward zero, 1 power, 2 remainder with the sign of a, 3 remainder with the sign of b,
// 4 and, 5 or, 6 exclusive or, 7 shift to the left, 8 shift to the right; WORKGROUP_SIZE, invocations.
// Edges: nothing divides by 0 or overflows: a / 0 and a mod 0 are 0, the most negative number by -1 wraps; shifts by the
// width or more give 0. The last invocation's tail reads the last element again and writes padding.
// Source: ONNX Div, opset 14; Mod, opset 13; BitShift, opset 11; NumPy where these leave the result open.

override OPERATION: u32;
override WORKGROUP_SIZE: u32;

@group(0) @binding(3) var<storage, read_write> y: array<Element4>;

const ONE = Element4(Element(1));
const ZERO = Element4();

/// x to the power n by squaring, wrapping. Negative powers truncate as a division would, those of 0 are 0.
fn power(x: Element, n: Element) -> Element {
    let one = Element(1);
    if n < Element() {
        if x + one == Element() {
            return select(one, x, (n & one) == one);
        }
        return select(Element(), one, x == one);
    }
    var result = one;
    var square = x;
    for (var left = n; left > Element(); left /= Element(2)) {
        if (left & one) == one {
            result *= square;
        }
        square *= square;
    }
    return result;
}

fn combine_integers(left: Element4, right: Element4) -> Element4 {
    let minus_one = (right < ZERO) & (right + ONE == ZERO);
    let zero = right == ZERO;
    let divisor = select(right, ONE, minus_one | zero);
    switch OPERATION {
        case 0u: { return select(select(left / divisor, ZERO - left, minus_one), ZERO, zero); }
        case 1u: {
            return Element4(power(left.x, right.x), power(left.y, right.y), power(left.z, right.z), power(left.w, right.w));
        }
        case 2u: { return left % divisor; }
        case 3u: {
            let rest = left % divisor;
            return select(rest, rest + right, (rest != ZERO) & ((rest < ZERO) != (right < ZERO)));
        }
        case 4u: { return left & right; }
        case 5u: { return left | right; }
        case 6u: { return left ^ right; }
        default: {
            let amount = vec4<u32>(right);
            let inside = amount < vec4<u32>(32u);
            let bits = select(vec4<u32>(), amount, inside);
            if OPERATION == 7u {
                return select(ZERO, left << bits, inside);
            }
            return select(ZERO, left >> bits, inside);
        }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP_SIZE + local;
    if i <= (params.elements - 1u) / 4u {
        let pairs = load_pairs(i);
        y[i] = wrap(combine_integers(pairs.left, pairs.right), params.mask, params.sign);
    }
}

// y[n, m, oy, ox] = b[m] + Σ_ky Σ_kx w[m, ky, kx] · x[n, m, oy + ky − KERNEL / 2, ox + kx − KERNEL / 2]
//
// Layout: x and y [N, M, H, WIDTH], planes one after the other, in vectors of four; w [M, KERNEL, KERNEL].
// For narrow maps on devices whose subgroups are eight SIMD lanes of a processor: one invocation owns a plane and walks along it as if it were
// one long row, so that every load and store is a whole vector whatever the width. A tap is a fixed distance in that row; the vectors that the
// taps of four neighbours are in stay in registers, and move on by one with each step. A workgroup is one subgroup.
// Workgroups: x eight planes each, which together are whole vectors. Where a vector holds the end of one plane and the start of the next, the
// owner of the end takes the start from its neighbour and stores both.
// Overrides: HAS_BIAS 0 or 1; WIDTH, columns, at least 4, with KERNEL / 2 · (WIDTH + 1) at most 60; those of the epilogue.
// Edges: what is outside the plane is set to zero when it is loaded, which takes care of the rows in the padding; columns there are left out of
// the sum.

override HAS_BIAS: u32;
override WIDTH: u32;

const MOST_VECTORS: u32 = 31u;

struct Params {
    planes: u32, // N · M
    out_channels: u32,
    size: u32, // H · WIDTH
    steps: u32, // vectors that a plane lies in, at most
    before_alpha: f32, // of the epilogue
    before_beta: f32,
    after_alpha: f32,
    after_beta: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element4>;
@group(0) @binding(2) var<storage, read> w: array<Element>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;
@group(0) @binding(5) var<storage, read> held: array<Element4>;

/// The four positions in the plane from `p` on.
fn four(p: u32) -> vec4<u32> {
    return vec4<u32>(p, p + 1u, p + 2u, p + 3u);
}

alias Window = array<Accumulator4, MOST_VECTORS>;

/// The four elements of a window from the `c`th on.
fn taps(window: ptr<function, Window>, c: u32) -> Accumulator4 {
    return Accumulator4(
        (*window)[c / 4u][c % 4u],
        (*window)[(c + 1u) / 4u][(c + 1u) % 4u],
        (*window)[(c + 2u) / 4u][(c + 2u) % 4u],
        (*window)[(c + 3u) / 4u][(c + 3u) % 4u],
    );
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let size = params.size;
    let steps = params.steps;
    let end = (params.planes * size - 1u) / 4u;
    let owned = workgroup.x * 8u + local;
    let plane = min(owned, params.planes - 1u);
    let m = plane % params.out_channels;
    let first = plane * size / 4u;
    let shift = plane * size % 4u; // of the plane's start in its first vector
    let last = (shift + size - 1u) / 4u;
    let stores = owned == plane;

    var weights: array<array<Accumulator, KERNEL>, KERNEL>;
    for (var ky = 0u; ky < KERNEL; ky++) {
        for (var kx = 0u; kx < KERNEL; kx++) {
            weights[ky][kx] = Accumulator(w[(m * KERNEL + ky) * KERNEL + kx]);
        }
    }
    var bias = Accumulator4();
    if HAS_BIAS != 0u {
        bias = Accumulator4(Accumulator(b[m]));
    }

    // The vectors from `reach` before to `reach` after the one of the output.
    var window: Window;
    // No less than WIDTH allows; compilers see that it fits the window.
    let reach = min((KERNEL / 2u * (WIDTH + 1u) + 3u) / 4u, MOST_VECTORS / 2u);
    for (var i = 0u; i < 2u * reach; i++) {
        let inside = four((i - reach) * 4u - shift) < vec4<u32>(size);
        let at = select(first + i - reach, 0u, first + i < reach);
        window[i] = select(Accumulator4(), Accumulator4(x[min(at, end)]), inside);
    }
    var column = select(0u, WIDTH - shift, shift > 0u);
    var head = Accumulator4();
    for (var step = 0u; step < steps; step++) {
        let inside = four((step + reach) * 4u - shift) < vec4<u32>(size);
        window[2u * reach] = select(Accumulator4(), Accumulator4(x[min(first + step + reach, end)]), inside);
        let columns = select(four(column), four(column - WIDTH), four(column) >= vec4<u32>(WIDTH));
        var sum = bias;
        for (var kx = 0u; kx < KERNEL; kx++) {
            var part = Accumulator4();
            for (var ky = 0u; ky < KERNEL; ky++) {
                part += weights[ky][kx] * taps(&window, 4u * reach + ky * WIDTH + kx - KERNEL / 2u * (WIDTH + 1u));
            }
            sum += select(Accumulator4(), part, columns + kx - KERNEL / 2u < vec4<u32>(WIDTH));
        }
        column = select(column + 4u, column + 4u - WIDTH, column + 4u >= WIDTH);
        for (var i = 0u; i < 2u * reach; i++) {
            window[i] = window[i + 1u];
        }

        let at = min(first + step, end);
        let own = finish_vector(sum, hold_vector(at, m));
        if step == 0u {
            head = own;
        }
        let next = subgroupShuffle(head, (local + 1u) % 8u);
        let value = select(own, next, (four(step * 4u - shift) >= vec4<u32>(size)) & vec4<bool>(step == last));
        if stores && step <= last && (step > 0u || shift == 0u) {
            y[at] = Element4(value);
        }
    }
}

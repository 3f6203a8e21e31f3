// Windows over padded axes: which taps of a window that starts at `start` (counted from the input's first element, so
// negative in the padding before it) fall on positions 0..end. Taps stand `dilation` apart, there are `kernel` of them.

/// The first tap at 0 or after.
fn first_taps(start: vec3<i32>, dilation: vec3<u32>) -> vec3<u32> {
    return (vec3<u32>(max(-start, vec3<i32>(0))) + dilation - 1u) / dilation;
}

/// One past the last tap before `end`; not above `first_taps` where no tap falls on 0..end.
fn end_taps(start: vec3<i32>, end: vec3<u32>, kernel: vec3<u32>, dilation: vec3<u32>) -> vec3<u32> {
    return min(kernel, (vec3<u32>(max(vec3<i32>(end) - start, vec3<i32>(0))) + dilation - 1u) / dilation);
}

/// The coordinates `[d, h, w]` of the element at `i` in maps of `extents`, and in w the number of the map.
fn map_position(i: u32, extents: vec3<u32>) -> vec4<u32> {
    let row = i / extents.z;
    let plane = row / extents.y;
    return vec4<u32>(plane % extents.x, row % extents.y, i % extents.z, plane / extents.x);
}

// Where a reduction over any axes finds its elements; needs `kept`, `reduced` and their strides in the kernel's `params`.

/// Where the elements of an output start.
fn kept_offset(output: u32) -> u32 {
    var rest = output;
    var offset = 0u;
    for (var axis = 8u; axis > 0u && rest > 0u; axis--) {
        let k = axis - 1u;
        let extent = params.kept[k / 4u][k % 4u];
        offset += (rest % extent) * params.kept_strides[k / 4u][k % 4u];
        rest /= extent;
    }
    return offset;
}

/// Where element `index` of an output lies from there.
fn reduced_offset(index: u32) -> u32 {
    var rest = index;
    var offset = 0u;
    for (var axis = 8u; axis > 0u && rest > 0u; axis--) {
        let k = axis - 1u;
        let extent = params.reduced[k / 4u][k % 4u];
        offset += (rest % extent) * params.reduced_strides[k / 4u][k % 4u];
        rest /= extent;
    }
    return offset;
}

// Batches of matrices: up to four axes that the factors broadcast over.

/// Where the matrix of a factor starts for batch entry `index`, in row-major order of `extents`.
fn batch_offset(index: u32, extents: vec4<u32>, strides: vec4<u32>) -> u32 {
    let z = index / extents.w;
    let y = z / extents.z;
    let x = y / extents.y;
    return dot(vec4<u32>(x, y % extents.y, z % extents.z, index % extents.w), strides);
}

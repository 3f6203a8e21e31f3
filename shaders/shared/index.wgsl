// Indices that outgrow one dimension of a dispatch: the host folds long 1-D work into x and y.

/// The workgroup's number in row-major order of x, y.
fn flat_workgroup(workgroup: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return workgroup.y * workgroups.x + workgroup.x;
}

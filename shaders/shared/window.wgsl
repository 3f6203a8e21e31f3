// One output position of a window operator, found with few integer divisions: GPUs and software devices have no fast one.

struct WindowPosition {
    map: u32,
    o: vec3<u32>, // [d, h, w] in the output
    inside: bool, // whether there is such an output
}

/// The output that invocation `local` of `group` owns: groups walk the planes of a map's output [D, H, W] in tiles of
/// WORKGROUP_SIZE neighbours, `tiles` a plane, then depths, then `maps`.
fn window_position(group: u32, local: u32, size: u32, tiles: u32, output: vec3<u32>, maps: u32) -> WindowPosition {
    let plane = group / tiles;
    let i = (group - plane * tiles) * size + local;
    let map = plane / output.x;
    let h = i / output.z;
    let o = vec3<u32>(plane - map * output.x, h, i - h * output.z);
    return WindowPosition(map, o, map < maps && h < output.y);
}

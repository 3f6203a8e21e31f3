// A square kernel of 3 by 3 taps, and the output rows of one invocation.
const KERNEL: u32 = 3u;
const TILE_ROWS: u32 = 4u;
const TILE_VECTORS: u32 = 1u;

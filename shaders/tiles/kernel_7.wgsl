// A square kernel of 7 by 7 taps, and the output rows of one invocation.
const KERNEL: u32 = 7u;
const TILE_ROWS: u32 = 4u;
const TILE_VECTORS: u32 = 1u;

// A square kernel of 5 by 5 taps, and the output rows of one invocation.
const KERNEL: u32 = 5u;
const TILE_ROWS: u32 = 4u;
const TILE_VECTORS: u32 = 1u;

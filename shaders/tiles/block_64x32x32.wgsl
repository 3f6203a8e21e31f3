// The tile of a workgroup: 64 output channels by 32 pixels, 32 input channels at a time; that of one invocation: 8 by 4.
const BLOCK_ROWS: u32 = 64u;
const BLOCK_COLUMNS: u32 = 32u;
const BLOCK_DEPTH: u32 = 32u;
const TILE_ROWS: u32 = 8u;
const TILE_VECTORS: u32 = 1u;

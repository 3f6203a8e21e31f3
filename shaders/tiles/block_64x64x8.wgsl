// The tile of a workgroup: 64 output channels by 64 pixels, 8 input channels at a time; that of one invocation: 8 by 8.
const BLOCK_ROWS: u32 = 64u;
const BLOCK_COLUMNS: u32 = 64u;
const BLOCK_DEPTH: u32 = 8u;
const TILE_ROWS: u32 = 8u;
const TILE_VECTORS: u32 = 2u;

// The register tile of one invocation: 1 row by 4 columns, the columns in vectors of four.
const TILE_ROWS: u32 = 1u;
const TILE_VECTORS: u32 = 1u;

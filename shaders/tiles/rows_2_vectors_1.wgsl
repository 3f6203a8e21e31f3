// The register tile of one invocation: 2 rows by 4 columns, the columns in vectors of four.
const TILE_ROWS: u32 = 2u;
const TILE_VECTORS: u32 = 1u;

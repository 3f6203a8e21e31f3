// The register tile of one invocation: 32 rows by 8 columns, the columns in vectors of four.
const TILE_ROWS: u32 = 32u;
const TILE_VECTORS: u32 = 2u;
const_assert TILE_ROWS % 4u == 0u;

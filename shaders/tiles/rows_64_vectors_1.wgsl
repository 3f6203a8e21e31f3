// The register tile of one invocation: 64 rows by 4 columns, the columns in vectors of four.
const TILE_ROWS: u32 = 64u;
const TILE_VECTORS: u32 = 1u;
const_assert TILE_ROWS % 4u == 0u;

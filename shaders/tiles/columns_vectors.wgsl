// Rows of y are whole vectors of four columns.
alias Columns = Element4;

fn store_columns(at: u32, value: Accumulator4, count: u32) {
    y[at / 4u] = Element4(value);
}

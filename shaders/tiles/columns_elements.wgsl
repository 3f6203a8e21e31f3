// Rows of y may end, and begin, inside of a vector: `count` of four columns are stored one by one.
alias Columns = Element;

fn store_columns(at: u32, value: Accumulator4, count: u32) {
    y[at] = Element(value.x);
    if count > 1u {
        y[at + 1u] = Element(value.y);
    }
    if count > 2u {
        y[at + 2u] = Element(value.z);
    }
    if count > 3u {
        y[at + 3u] = Element(value.w);
    }
}

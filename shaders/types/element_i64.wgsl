// The element type of tensors, and the type that sums and products of them are kept in.
alias Element = i64;
alias Element4 = vec4<i64>;
alias Accumulator = i64;
alias Accumulator4 = vec4<i64>;

// The element type of tensors, and the type that sums and products of them are kept in.
alias Element = i32;
alias Element4 = vec4<i32>;
alias Accumulator = i32;
alias Accumulator4 = vec4<i32>;

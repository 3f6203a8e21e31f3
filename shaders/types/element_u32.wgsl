// The element type of tensors, and the type that sums and products of them are kept in.
alias Element = u32;
alias Element4 = vec4<u32>;
alias Accumulator = u32;
alias Accumulator4 = vec4<u32>;

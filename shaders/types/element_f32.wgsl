// The element type of tensors, and the type that sums and products of them are kept in.
alias Element = f32;
alias Element4 = vec4<f32>;
alias Accumulator = f32;
alias Accumulator4 = vec4<f32>;

// The integers that quantized tensors are stored in.
alias Quantized = i32;
alias Quantized4 = vec4<i32>;

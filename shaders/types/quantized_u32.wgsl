// The integers that quantized tensors are stored in.
alias Quantized = u32;
alias Quantized4 = vec4<u32>;

// The type of a tensor of indices.
alias Index = i32;

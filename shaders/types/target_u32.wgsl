// The type that a conversion writes.
alias Target = u32;

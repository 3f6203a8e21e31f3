// The type that a conversion writes.
alias Target = f16;

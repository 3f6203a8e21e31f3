// The type that a conversion writes.
alias Target = i64;

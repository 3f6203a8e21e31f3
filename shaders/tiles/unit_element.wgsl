// What one invocation moves: one element.
alias Unit = Element;

// What one invocation moves: four neighbouring elements, by which the host has divided every extent, stride and offset.
alias Unit = Element4;

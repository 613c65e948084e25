"""One runner in the stack file: a module for each block of its keys."""

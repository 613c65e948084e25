"""Which addresses pods may reach: what the stack file says, and the ranges that it is about."""

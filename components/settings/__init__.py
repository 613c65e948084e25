"""How a stack file is read, checked and explained."""

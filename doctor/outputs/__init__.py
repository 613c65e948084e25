"""What is written of a diagnosis."""

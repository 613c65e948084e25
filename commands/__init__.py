"""The command line for users."""

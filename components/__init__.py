"""What an environment is made of; see each module's first lines for what it owns."""

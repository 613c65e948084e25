"""GitLab Runner and its chart: their versions, and the config.toml that the runner reads."""

"""What a change means: facts, risks, rules, keys of config.toml, and the effect on jobs."""

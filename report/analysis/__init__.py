"""What a change means: facts, risks, rules, keys, and the effect on jobs."""

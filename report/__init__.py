"""What a change does to an environment, told to the reviewer of a merge request.

``events`` reads a preview; ``security``, ``config_toml``, ``jobs`` and ``rendered`` say what it
means; ``assemble`` makes one ``model.Report`` of it; the other modules write that for a reader.
Nothing in it deploys, and no value that is marked secret gets into the model.
"""

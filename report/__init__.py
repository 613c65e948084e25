"""What a change does to an environment, for the reviewer of a merge request.

``inputs`` reads previews, states and clusters, ``analysis`` says what they mean and makes one
``model.Report`` of it, and ``outputs`` writes that report. Nothing here deploys. ``redact`` keeps
values that are marked secret out of the model.
"""

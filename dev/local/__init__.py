"""The stacks of this checkout on the local control plane, with the real engine and provider.

No package registry carries Pulumi's Python language host, so the Automation API serves
``__main__.py`` to the engine itself. The stack file is copied into the state folder, with the
cluster, the chart and made-up secrets; no committed file is written. On the user's own cluster
none of this is needed: ``pulumi up`` is enough.
"""

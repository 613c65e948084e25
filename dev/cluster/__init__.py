"""The local control plane: etcd, Kubernetes' own programs and one simulated node, on loopback.

It owns its processes, certificates, ports and kubeconfig in one folder, which outlives a stop.
It never reads the user's kubeconfig, and runs no container: kwok only reports pods as running.
Where dev/node brings a real node, kwok is not started and the API server listens where that node
reaches it.
"""

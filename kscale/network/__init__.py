"""The network of a cluster: kube-proxy's modes and their costs, load balancing, network policy, Calico."""

"""The scheduler: kube-scheduler v1.34.1's decisions, as kernels over columns."""

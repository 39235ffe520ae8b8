"""kscale: a whole Kubernetes cluster simulated as columns of numbers."""

__version__ = "0.1.0"

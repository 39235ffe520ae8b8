"""Nodes: kubelets, container runtimes, images, volumes and interfaces.

The kubelet's entries are in ``kubelet``; what it consists of stands beside it, one module each. A container runtime is
a module of ``runtimes``.
"""

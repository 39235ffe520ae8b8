"""Nodes: kubelets, container runtimes, images, volumes and interfaces."""

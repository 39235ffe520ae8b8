"""Benchmarks: rows of data (``workloads``) that are measured; docs/performance.md tells how to run and read them."""

"""Fits the parameters of kube-proxy's modes to measurements: tables are read, series fitted, parameters given."""

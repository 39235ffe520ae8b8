"""What several modes of kube-proxy share."""

"""What can be built: decisions, architectures, cells, networks. Knows nothing of data, devices or searchers."""

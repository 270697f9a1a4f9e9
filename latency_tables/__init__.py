"""What a network costs on a device: targets, runtimes, the protocol. Knows nothing of data or searchers."""

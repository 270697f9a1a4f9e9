"""The commands, one file each or a small group. Knows nothing of how a search, a training or a report works."""

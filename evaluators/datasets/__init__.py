"""Videos with labels, by name (registry.py). Knows nothing of networks or training."""

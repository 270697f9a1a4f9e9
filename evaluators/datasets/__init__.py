"""Videos with labels, by name (registry.py)."""

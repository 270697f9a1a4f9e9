"""Temporal cells, one a file. A new cell is one file, its spec in specs.py and one line in registry.py.

Knows nothing of the networks that the cells stand in.
"""

"""Convolution factorizations and blocks. A new one is one file and one line in registry.py.

Knows nothing of networks.
"""

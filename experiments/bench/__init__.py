"""Benchmarks of our own overhead, each a ratio or a count of CPU time. Run from a checkout."""

"""The runtimes that can be measured, one a file, and their registry. Knows nothing of the protocol or of tables."""

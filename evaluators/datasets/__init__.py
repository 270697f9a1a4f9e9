"""Datasets by name. A new dataset is one file and one line here."""

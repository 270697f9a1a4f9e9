"""Recipes and recorded results. Never packaged; run as `python -m experiments.NAME` from a checkout."""

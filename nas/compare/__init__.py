"""Searchers side by side at equal budgets: curves, medians, rank tests. Knows nothing of how a search ran."""

"""The report of a search: a table for the terminal and one self-contained HTML page. Knows nothing of how it ran."""

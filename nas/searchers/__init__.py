"""How to propose: one searcher a file. Sees decisions and metrics only; never trains, never measures."""

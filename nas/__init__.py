"""Who decides: searchers, the loop, the journal, the commands. Knows nothing of layers, pixels or timers."""

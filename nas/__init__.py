"""Who decides: searchers, the loop, the journal, the commands. Sits on the three other packages."""

"""How good a network is: data, training, metrics. Knows nothing of searchers or the loop."""
